"""What a gate `replay` costs: `python -m e2e.bench.replay`, without a cluster. The result is in `results/replay.md`.

100,000 logged requests of one row, an hour of one server in files of a minute as the sink writes them, are answered by a gate in turn
with onnxruntime alone, which gets the same rows from memory; both with one thread. The gate reads the files, answers, compares, counts groups
and keeps the rows that differ most. The medians of the rounds are compared, in CPU seconds, so that other work on the machine weighs on neither.
"""

import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from onnx import TensorProto, checker, helper
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier

from e2e.bench import targets
from e2e.bench.targets import Figures, Target
from flywheel_runtime.commands.gates.config import LoggedService, ReplayGate, Traffic
from flywheel_runtime.commands.gates.traffic.replay import CALL_ROWS, Models
from flywheel_runtime.commands.gates.traffic.replay_gate import replay_gate
from flywheel_runtime.commands.gates.traffic.request_log import Champion
from flywheel_runtime.commands.gates.traffic.service_logs import ServiceLogs
from flywheel_runtime.datasets.sql import connect
from flywheel_runtime.models.golden_rows import load_session

COMMAND = "make bench-replay"
ROWS, NUMBERS, TREES, FILES, ROUNDS = 100_000, 29, 100, 60, 5
AIRPORTS = [f"A{number:02}" for number in range(40)]
VERSION = Champion("delay-1", "sha256:" + "1" * 64)
UNTIL = datetime(2026, 3, 2, 12, tzinfo=UTC)
GATE = ReplayGate(window="2h", max_flips="2%", by="origin", max_rows=ROWS)
Table = dict[str, Any]


def main() -> int:
    """1 if the promise is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder))
    checked = [Target("rows a second of the gate, of onnxruntime's alone", found["ratio"], 0.5, at_least=True)]
    targets.write_results("replay", COMMAND, {"boosting_100_trees_30_columns": found}, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


def draw() -> Table:
    random = np.random.default_rng(7)
    numbers = {f"c{number}": random.normal(size=ROWS).astype(np.float32) for number in range(NUMBERS)}
    return {**numbers, "origin": np.array(AIRPORTS, object)[random.integers(0, len(AIRPORTS), ROWS)]}


def make_model(table: Table, trees: int) -> bytes:
    """Boosting over 29 numbers and the number of an airport, with an input for each column, as Flywheel exports it."""
    codes = np.array([AIRPORTS.index(each) for each in table["origin"]], np.float32)
    x = np.column_stack([*(table[f"c{number}"] for number in range(NUMBERS)), codes])
    y = (x[:, 0] + x[:, 1] * x[:, 2] + 0.02 * codes + 0.5 * np.random.default_rng(1).normal(size=ROWS) > 0).astype(int)
    fitted = HistGradientBoostingClassifier(max_iter=trees, early_stopping=False).fit(x[:5_000], y[:5_000])
    model = to_onnx(fitted, x[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
    old = model.graph.input[0].name
    names = [f"c{number}" for number in range(NUMBERS)]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in names]
    inputs.append(helper.make_tensor_value_info("origin", TensorProto.STRING, [None, 1]))
    encode = helper.make_node(
        "LabelEncoder", ["origin"], ["origin code"], domain="ai.onnx.ml",
        keys_strings=AIRPORTS, values_floats=[float(code) for code in range(len(AIRPORTS))], default_float=-1.0,
    )  # fmt: skip
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.graph.node.insert(0, helper.make_node("Concat", [*names, "origin code"], [old], axis=1))
    model.graph.node.insert(0, encode)
    for each in model.opset_import:
        if each.domain == "ai.onnx.ml":
            each.version = 3  # that of LabelEncoder with texts and numbers
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def write_log(folder: Path, table: Table, label: Any, probabilities: Any) -> None:
    """The rows, and the champion's answers, in a file for each minute of an hour."""
    folder.mkdir(parents=True)
    micros = (UNTIL - timedelta(hours=1)).timestamp() * 1e6 + np.arange(ROWS) * 3.6e9 / ROWS
    columns = {
        **table,
        "label": label,
        "p0": probabilities[:, 0],
        "p1": probabilities[:, 1],
        "micro": micros.astype(np.int64),
    }
    struct = ", ".join(f"'{name}': {name}" for name in table)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("source", {**columns, "origin": table["origin"].astype(str)})
        connection.execute(
            "CREATE TABLE logged AS SELECT '3f12b3b13160-' || row_number() OVER () AS id, 0::INTEGER AS \"row\", make_timestamptz(micro) AS time, "
            f"'{VERSION.version}' AS version, '{VERSION.digest}' AS digest, 0.001 AS latency_seconds, 'Direct' AS route, {{{struct}}} AS features, "
            "{'label': label, 'probabilities': [p0, p1]::FLOAT[]} AS outputs FROM source"
        )
        for number in range(FILES):
            low, size = number * ROWS // FILES, (number + 1) * ROWS // FILES - number * ROWS // FILES
            connection.execute(
                f"COPY (FROM logged LIMIT {size} OFFSET {low}) TO '{folder}/delay-{number:06}.parquet' (FORMAT parquet, COMPRESSION zstd)"
            )


def measure(folder: Path) -> Figures:
    """Seconds of CPU of both sides in turn, as rows a second."""
    table = draw()
    champion, challenger = make_model(table, TREES), make_model(table, TREES - 1)
    for name, content in (("champion", champion), ("model", challenger)):
        (folder / name).mkdir()
        (folder / name / "model.onnx").write_bytes(content)
    session = load_session(challenger, threads=1)
    feeds = {name: values[:, None] for name, values in table.items()}
    label, probabilities = run_alone(load_session(champion, threads=1), feeds)
    write_log(folder / "rows-delay", table, label, probabilities)
    alone, gate = [], []
    for _ in range(ROUNDS):
        start = time.process_time()
        run_alone(session, feeds)
        alone.append(time.process_time() - start)
        start = time.process_time()
        run_gate(folder)
        gate.append(time.process_time() - start)
    of_alone, of_gate = statistics.median(alone), statistics.median(gate)
    return {
        "rows": ROWS,
        "gate_rows_per_second": round(ROWS / of_gate),
        "onnxruntime_rows_per_second": round(ROWS / of_alone),
        "ratio": round(of_alone / of_gate, 3),
    }


def run_alone(session: Any, feeds: Table) -> tuple[Any, Any]:
    """All rows in calls of the size that the gate uses."""
    parts = [
        session.run(["label", "probabilities"], {name: each[start : start + CALL_ROWS] for name, each in feeds.items()})
        for start in range(0, ROWS, CALL_ROWS)
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def run_gate(folder: Path) -> None:
    """The gate from the files to its document, with loading both models and the latency of single rows."""
    traffic = Traffic(until=UNTIL, services=(LoggedService(name="delay", sample="100%"),))
    models = Models.read(folder / "champion", folder / "model", VERSION)
    with connect(threads=1) as connection:
        *_, numbers, document = replay_gate(GATE, models, ServiceLogs(connection, folder, traffic, shows_values=False))
    assert (numbers["rows"], document["answers"]["logged"], len(document["groups"])) == (ROWS, ROWS, len(AIRPORTS))


if __name__ == "__main__":
    sys.exit(main())

"""What batch scoring costs beside a plain script: `python -m e2e.bench.batch`, without a cluster. The result is in `results/batch.md`.

A million rows of 30 numbers are scored by the two processes of a shard, the model server and the step that reads, asks and writes, in turn with
a script that does the same with DuckDB and onnxruntime alone, with one thread each. A rate is rows a second of CPU, of both processes
together, as on one core; the medians of the rounds are compared.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
from onnx import TensorProto, checker, helper
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier

from e2e.bench import targets
from e2e.bench.targets import Figures, Target, cpu_seconds
from flywheel_runtime.models.golden_rows import load_session
from tests.runtime.commands.batch.batch_pods import DIGEST, BatchPods
from tests.runtime.s3_server import running
from tests.serving.local_server import LocalServer

COMMAND = "make bench-batch"
ROWS, COLUMNS, TREES, ROUNDS = 1_000_000, 30, 100, 3
CALL_ROWS = 10_000  # of the script
BOUNDS = {"parquet": 0.7, "csv": 0.6}
NAMES = [f"c{number}" for number in range(COLUMNS)]


def main() -> int:
    """1 if a promise is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        found = {form: measure(Path(folder), form) for form in BOUNDS}
    checked = [
        Target(f"rows a second of a shard, of a script's, {form}", found[form]["ratio"], bound, at_least=True)
        for form, bound in BOUNDS.items()
    ]
    targets.write_results("batch", COMMAND, found, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


def write_model(folder: Path) -> None:
    """Boosting with an input for each column, as Flywheel exports it."""
    random = np.random.default_rng(7)
    x = random.normal(size=(20_000, COLUMNS)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * random.normal(size=len(x)) > 0).astype(int)
    fitted = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False).fit(x, y)
    model = to_onnx(fitted, x[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
    joined = model.graph.input[0].name
    del model.graph.input[:]
    model.graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in NAMES)
    model.graph.node.insert(0, helper.make_node("Concat", NAMES, [joined], axis=1))
    checker.check_model(model)
    (folder / "model").mkdir()
    (folder / "model" / "model.onnx").write_bytes(model.SerializeToString())


def write_rows(path: Path) -> None:
    """The rows, with a number for each; CSV has them as text of nine digits."""
    random = np.random.default_rng(1)
    numbers = {name: random.normal(size=ROWS).astype(np.float32) for name in NAMES}
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("source", {"id": np.arange(ROWS), **numbers})
        connection.execute(f"COPY (FROM source) TO '{path}' (FORMAT {path.suffix[1:]})")


def measure(folder: Path, form: str) -> Figures:
    """Seconds of CPU of both sides in turn, as rows a second."""
    rows = folder / f"rows.{form}"
    write_rows(rows)
    by_shard, by_script = [], []
    with (
        tempfile.TemporaryDirectory(dir=folder) as store,
        running(Path(store)) as s3,
        LocalServer(folder / "model", "--name", "late", "--max-run-seconds", "3600") as server,
    ):
        s3.make_bucket("bench")
        pods = BatchPods(Path(store), s3.env("bench"), folder / "model", server.http, params(form))
        pods.put(f"in/{rows.name}", rows.read_bytes())
        for number in range(ROUNDS):
            start = time.process_time()
            run_script(folder, rows)
            by_script.append(time.process_time() - start)
            by_shard.append(run_shards(pods, server.process.pid, f"out-{number}"))
    of_script, of_shard = statistics.median(by_script), statistics.median(by_shard)
    return {
        "rows": ROWS,
        "shard_rows_per_second": round(ROWS / of_shard),
        "script_rows_per_second": round(ROWS / of_script),
        "ratio": round(of_script / of_shard, 3),
    }


def params(form: str) -> dict[str, object]:
    """The step's order: the output has the rows' numbers and all that the model gives."""
    return {
        "input": {"s3": {"uri": "s3://bench/shop/in/"}},
        "output": {
            "s3": {"uri": "s3://bench/shop/out/"},
            "format": "CSV" if form == "csv" else "Parquet",
            "include": ["id"],
        },
        "model": {"name": "late", "version": "late-1", "digest": DIGEST},
    }


def run_shards(pods: BatchPods, server: int, output: str) -> float:
    """Seconds of CPU of the step and of the server for all shards, none of which is done already."""
    pods.params["output"]["s3"]["uri"] = f"s3://bench/shop/{output}/"
    pods.plan()
    start = time.process_time() + cpu_seconds(server)
    told = pods.score_all()
    assert sum(each["metrics"]["rows"] for each in told) == ROWS
    return time.process_time() + cpu_seconds(server) - start


def run_script(folder: Path, rows: Path) -> None:
    """What one would write by hand: read with DuckDB, ask onnxruntime, write with DuckDB."""
    session = load_session((folder / "model" / "model.onnx").read_bytes(), threads=1)
    with duckdb.connect(config={"threads": 1}) as connection:
        typed = ", ".join(f"{name}::FLOAT AS {name}" for name in NAMES)
        table = connection.execute(f"SELECT id, {typed} FROM '{rows}'").fetchnumpy()
        parts = [
            session.run(None, {name: table[name][at : at + CALL_ROWS, None] for name in NAMES})
            for at in range(0, ROWS, CALL_ROWS)
        ]
        label, probabilities = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        answers = {"id": table["id"], "label": label, "p0": probabilities[:, 0], "p1": probabilities[:, 1]}
        connection.register("answers", answers)
        connection.execute(f"COPY (FROM answers) TO '{rows.with_name('answers')}' (FORMAT {rows.suffix[1:]})")


if __name__ == "__main__":
    sys.exit(main())

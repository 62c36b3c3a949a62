"""A gates Job with two small models and the log of a service, written as the sink writes it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import onnxruntime

from flywheel_runtime.commands.gates import main as gates
from flywheel_runtime.commands.gates.traffic import __main__ as traffic
from flywheel_runtime.commands.gates.traffic import measurement

UNTIL = datetime(2026, 3, 2, 12, tzinfo=UTC)
GOOD, RIVAL = "sha256:" + "a" * 64, "sha256:" + "b" * 64
CHAMPION = {"version": "delay-1", "digest": RIVAL}
ORIGINS = ("EWR", "JFK", "LGA")
CLASSES = "{'label': label, 'probabilities': [p0, p1]::FLOAT[]}"
VALUES = "{'prediction': prediction}"
Table = dict[str, Any]


def draw(rows: int, seed: int = 3) -> Table:
    """Rows with two numbers from 0 to 100 and an airport."""
    random = np.random.default_rng(seed)
    numbers = {name: random.uniform(0, 100, rows).astype(np.float32) for name in ("distance", "month")}
    return {**numbers, "origin": np.array(ORIGINS)[np.arange(rows) % 3]}


def answer(model: bytes, table: Table) -> Table:
    """What the model answers, as columns."""
    session = onnxruntime.InferenceSession(model)
    feeds = {each.name: table[each.name][:, None] for each in session.get_inputs()}
    found = dict(zip([each.name for each in session.get_outputs()], session.run(None, feeds), strict=True))
    if "prediction" in found:
        return {"prediction": found["prediction"][:, 0]}
    return {"label": found["label"], "p0": found["probabilities"][:, 0], "p1": found["probabilities"][:, 1]}


def write_log(
    file: Path,
    table: Table,
    answers: Table,
    *,
    version: str = "delay-1",
    digest: str = RIVAL,
    features: Sequence[str] = ("distance", "month", "origin"),
    until: datetime = UNTIL,
    first: int = 0,
    rows_of_a_request: int = 1,
    drop: Sequence[str] = (),
    keyed: bool = False,
) -> None:
    """Rows of the last hour before `until`. `drop`: columns of a log that files of an earlier build do not have."""
    file.parent.mkdir(parents=True, exist_ok=True)
    count = len(table["month"])
    micros = (until - timedelta(hours=1)).timestamp() * 1e6 + np.arange(count) * 3.6e9 / count
    columns = {**table, **answers, "micro": micros.astype(np.int64), "number": first + np.arange(count)}
    struct = ", ".join(f"'{name}': \"{name}\"" for name in features)
    outputs = VALUES if "prediction" in answers else CLASSES
    key = "'k-' || number" if keyed else "NULL::VARCHAR"
    dropped = f"EXCLUDE ({', '.join(drop)})" if drop else ""
    with duckdb.connect() as connection:
        connection.register("source", columns)
        connection.execute(
            f"COPY (SELECT * {dropped} FROM (SELECT 'r-' || (number // {rows_of_a_request}) AS id, "
            f"(number % {rows_of_a_request})::INTEGER AS \"row\", make_timestamptz(micro) AS time, '{version}' AS version, "
            f"'{digest}' AS digest, 0.01 AS latency_seconds, 'Direct' AS route, {key} AS key, {{{struct}}} AS features, "
            f"{outputs} AS outputs FROM source)) TO '{file}' (FORMAT parquet)"
        )


class TrafficJob:
    """The folders of a Job, whose service is `delay`. The process that measures is this one, since another takes a second to start."""

    def __init__(self, root: Path, monkeypatch: Any, challenger: bytes, champion: bytes) -> None:
        monkeypatch.setattr(measurement, "_run", lambda step, folder: str(traffic.main([str(step.root), str(folder)])))
        self.root, self.inputs = root, root / "inputs"
        monkeypatch.setenv("FLYWHEEL_ROOT", str(root))
        monkeypatch.setenv("FLYWHEEL_TERMINATION_LOG", str(root / "termination-log"))
        for name, content in (("model", challenger), ("champion", champion)):
            (self.inputs / name).mkdir(parents=True)
            (self.inputs / name / "model.onnx").write_bytes(content)
        self.rows = self.inputs / "rows-delay/dt=2026-03-02/hour=11"

    def run(self, *listed: dict[str, Any], champion: Any = CHAMPION, **known: Any) -> dict[str, Any]:
        """The findings by the names of the gates."""
        given = {"until": UNTIL.isoformat(), "services": [{"name": "delay", "sample": "10%"}], **known}
        params = {"gates": list(listed), "objective": None, "digest": GOOD, "champion": champion, "traffic": given}
        (self.root / "params.json").write_text(json.dumps(params))
        assert gates.main() == 0, (self.root / "termination-log").read_text()
        facts = json.loads((self.root / "outputs/facts.json").read_bytes())
        return {each["name"]: each for each in facts["gates"]}

    def document(self, gate: str) -> Any:
        """The document of a gate `replay`."""
        return json.loads((self.root / f"outputs/gates/replay-{gate}.json").read_bytes())

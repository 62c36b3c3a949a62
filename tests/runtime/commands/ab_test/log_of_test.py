"""The log of an A/B test as the sink writes it, made by DuckDB, and one look at it as in its pod."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flywheel_runtime.commands.ab_test import main
from tests.runtime.monitoring.labels.log_files import PostedLabel, write_labels

START = 1_767_225_600  # 2026-01-01T00:00:00Z
DELAY = 60


@dataclass(frozen=True)
class TestedRow:
    """One row of the log, `second` after the start. A row without a unit is no part of the test; `version` answered it."""

    __test__ = False  # pytest: no tests in here

    id: str
    second: int
    unit: str | None
    arm: str | None
    version: str = "v1"
    probability: float = 0.5
    test: str | None = "t1"
    digest: str = "sha256:1"


class ABTestLog:
    """The inputs of a look, in the folders that fetch makes."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, classes: Sequence[str] = ("0", "1")) -> None:
        self.root = root
        monkeypatch.setenv("FLYWHEEL_ROOT", str(root))
        monkeypatch.setenv("FLYWHEEL_TERMINATION_LOG", str(root / "termination"))
        for role in ("champion", "challenger"):
            (root / "inputs" / role).mkdir(parents=True)
            signature = {"outputs": [{"name": "label"}, {"name": "probabilities"}], "classes": list(classes)}
            (root / "inputs" / role / "signature.json").write_text(json.dumps(signature))

    def write_rows(self, rows: Sequence[TestedRow], name: str = "a") -> None:
        given = "SELECT unnest($1::STRUCT(id VARCHAR, second BIGINT, unit VARCHAR, arm VARCHAR, version VARCHAR, probability DOUBLE, test VARCHAR, digest VARCHAR)[]) AS given"
        selected = (
            f"given.id, 0 AS row, to_timestamp({START} + given.second) AS time, given.version, given.digest, 0.01 AS latency_seconds, 'Kept' AS route, "
            "given.test, given.unit, given.arm, {'label': (given.probability >= 0.5)::BIGINT, "
            "'probabilities': [1 - given.probability, given.probability]::DOUBLE[]} AS outputs"
        )
        file = self.root / "inputs" / "rows" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as connection:
            connection.execute(
                f"CREATE TABLE written AS SELECT {selected} FROM ({given})", [[asdict(row) for row in rows]]
            )
            connection.execute(f"COPY written TO '{file}' (FORMAT parquet)")

    def write_labels(self, labels: Sequence[tuple[str, str, int]], name: str = "a") -> None:
        """Labels as (id, label, seconds after the start)."""
        posted = [PostedLabel(label, START + second, id=id_) for id_, label, second in labels]
        write_labels(self.root / "inputs" / "labels" / f"{name}.parquet", posted)

    def look(self, **changed: Any) -> dict[str, Any]:
        """The facts of a look an hour after the start."""
        params = {
            "test": "t1",
            "metric": "label",
            "minEffect": 0.1,
            "alpha": 0.05,
            "share": 0.5,
            "labelDelaySeconds": DELAY,
            "since": "2026-01-01T00:00:00Z",
            "until": "2026-01-01T01:00:00Z",
            "look": 1,
            "champion": {"version": "v1", "digest": "sha256:1"},
            "challenger": {"version": "v2", "digest": "sha256:1"},
        }
        (self.root / "params.json").write_text(json.dumps(params | changed))
        assert main.main() == 0, (self.root / "termination").read_text()
        facts: dict[str, Any] = json.loads((self.root / "outputs" / "facts.json").read_text())
        return facts

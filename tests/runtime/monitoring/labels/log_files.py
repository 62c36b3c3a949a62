"""Files of a prediction log as the sink writes them, made by DuckDB."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb


@dataclass(frozen=True)
class LoggedRow:
    """One row of the log; `second` is since 1970."""

    id: str
    second: int
    probability: float = 0.5
    row: int = 0
    key: str | None = None
    version: str = "v1"
    region: str | None = "north"
    digest: str = "sha256:1"


@dataclass(frozen=True)
class PostedLabel:
    """One posted label, which arrived at `second`."""

    label: str
    second: int
    id: str | None = None
    row: int = 0
    key: str | None = None
    probability: float | None = None
    source: str | None = None


def write_rows(path: Path, rows: Sequence[LoggedRow]) -> Path:
    """Writes one Parquet file of rows."""
    given = "SELECT unnest($1::STRUCT(id VARCHAR, row INTEGER, second BIGINT, probability DOUBLE, key VARCHAR, version VARCHAR, region VARCHAR, digest VARCHAR)[]) AS given"
    selected = (
        "given.id, given.row, to_timestamp(given.second) AS time, given.version, given.digest, 0.01 AS latency_seconds, "
        "'Direct' AS route, given.key, {'region': given.region} AS features, {'label': (given.probability >= 0.5)::BIGINT, "
        "'probabilities': [1 - given.probability, given.probability]::FLOAT[]} AS outputs"
    )
    return _write(path, f"SELECT {selected} FROM ({given})", rows)


def write_labels(path: Path, labels: Sequence[PostedLabel]) -> Path:
    """Writes one Parquet file of labels; as earlier releases did where none has a probability, or a source."""
    given = "SELECT unnest($1::STRUCT(label VARCHAR, second BIGINT, id VARCHAR, row INTEGER, key VARCHAR, probability DOUBLE, source VARCHAR)[]) AS given"
    selected = "given.id, given.row, given.key, given.label, to_timestamp(given.second) AS time"
    selected += ", given.probability" if any(each.probability is not None for each in labels) else ""
    selected += ", given.source" if any(each.source is not None for each in labels) else ""
    return _write(path, f"SELECT {selected} FROM ({given})", labels)


def _write(path: Path, query: str, given: Sequence[LoggedRow] | Sequence[PostedLabel]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE written AS " + query, [[asdict(each) for each in given]])
        connection.execute(f"COPY written TO '{path}' (FORMAT parquet)")
    return path

"""Departures, the features that a FeatureSet `context` makes of them, and rows that ask for these."""

from collections.abc import Mapping
from typing import Any

import duckdb

from flywheel_runtime.features.feature_sets.binding import bind
from flywheel_runtime.features.feature_sets.definition import ColumnType, FeatureSetSpec

TYPES: Mapping[str, ColumnType] = {"seen": "Timestamp", "airport": "String", "gate": "Integer", "delay": "Float"}
CONTEXT: dict[str, Any] = {
    "name": "context",
    "inputs": [{"name": "sched", "type": "Timestamp"}, {"name": "origin", "type": "String"}, {"name": "gate", "type": "Integer"}],
    "eventTime": "sched",
    "aggregates": [
        {
            "name": "left_2h", "from": {"dataset": "departures", "time": "seen", "availableAfterSeconds": 600}, "key": {"airport": "origin"},
            "function": "count", "windowSeconds": 7200, "everySeconds": 600, "ttlSeconds": 7200, "missing": "Zero",
        },
        {
            "name": "delayed", "from": {"dataset": "departures", "time": "seen"}, "key": {"airport": "origin", "gate": "gate"},
            "function": "sum", "column": "delay", "windowSeconds": 36000, "everySeconds": 3600, "ttlSeconds": 72000,
        },
    ],
    "lookups": [
        {
            "name": "last", "from": {"dataset": "departures", "time": "seen"}, "key": {"gate": "gate"},
            "columns": ["delay", "airport", "seen"], "maxAgeSeconds": 86400,
        }
    ],
}  # fmt: skip
FEATURES = ("left_2h", "delayed", "last_delay", "last_airport", "last_seen")


def departures(count: int) -> list[dict[str, Any]]:
    """Rows of the Dataset, some at one time."""
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT TIMESTAMP '2024-05-01' + to_seconds((x // 2 * 700 + hash(x) % 5000)::BIGINT // 60 * 60) AS seen, "
            "['JFK', 'LGA', 'EWR'][1 + (hash(x, 2) % 3)::INTEGER] AS airport, (hash(x, 3) % 4)::BIGINT AS gate, "
            f"CASE WHEN x % 9 > 0 THEN (hash(x, 4) % 1000) / 7 END AS delay FROM range({count}) AS t(x)"
        )
        return [dict(zip(TYPES, row, strict=True)) for row in found.fetchall()]


def asking(count: int) -> list[dict[str, Any]]:
    """Rows of the input: keys that nobody has, and none, and times before and after all departures."""
    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT 'f' || x AS id, TIMESTAMP '2024-04-30 22:00' + to_seconds((x * 173 + hash(x, 5) % 9000)::BIGINT) AS sched, "
            "['JFK', 'LGA', 'EWR', 'XNA', NULL][1 + (hash(x, 6) % 5)::INTEGER] AS origin, "
            f"CASE WHEN x % 8 > 0 THEN (hash(x, 7) % 5)::BIGINT END AS gate, x / 3 AS dist FROM range({count}) AS t(x)"
        )
        return [dict(zip(("id", "sched", "origin", "gate", "dist"), row, strict=True)) for row in found.fetchall()]


DEFINITION = bind(FeatureSetSpec.model_validate(CONTEXT), {"departures": TYPES})

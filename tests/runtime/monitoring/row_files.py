"""Files of the log with rows, as the sink writes them."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np

SCORES = ("score", "other")
CLASSES = "{'label': 1, 'probabilities': [1 - score, score]}"
THREE_CLASSES = "{'label': 1, 'probabilities': [score, other, 1 - score - other]}"
VALUE = "{'prediction': score}"


def write_rows(
    file: Path, version: str, start: Any, table: dict[str, Any], seconds: float = 3_600, outputs: str = CLASSES
) -> None:
    """The rows of a file of the log, evenly over the time. `outputs` is SQL of the column `score`, which is no feature."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = len(table["score"])
    columns = {name: values.astype(str) if values.dtype == object else values for name, values in table.items()}
    columns |= {"micro": (start.timestamp() * 1e6 + np.arange(rows) * seconds * 1e6 / rows).astype(np.int64)}
    features = ", ".join(f"'{name}': \"{name}\"" for name in table if name not in SCORES)
    with duckdb.connect() as connection:
        connection.register("source", columns)
        connection.execute(
            f"COPY (SELECT micro::VARCHAR AS id, 0::INTEGER AS \"row\", make_timestamptz(micro) AS time, '{version}' AS version, "
            f"'sha256:77' AS digest, 0.01 AS latency_seconds, 'Direct' AS route, {{{features}}} AS features, "
            f"{outputs} AS outputs FROM source) TO '{file}' (FORMAT parquet)"
        )

"""The user's own checks: SQL whose rows violate. It can read the table `data` and nothing else."""

from collections.abc import Mapping

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.anomalies import MAX_EXAMPLES, Anomaly
from flywheel_runtime.datasets.sql import single_select


def run_checks(connection: duckdb.DuckDBPyConnection, checks: tuple[Mapping[str, str], ...]) -> list[Anomaly]:
    """Run each check on `connection`, which must be read-only, without external access and locked."""
    return [finding for check in checks for finding in _run(connection, check)]


def _run(connection: duckdb.DuckDBPyConnection, check: Mapping[str, str]) -> list[Anomaly]:
    name = check["name"]
    try:
        violating = single_select(connection, check["sql"])
        counted = connection.execute(f"SELECT count(*) FROM (\n{violating}\n) AS violating").fetchone()
        count = int(counted[0]) if counted else 0
        if not count:
            return []
        rows = connection.execute(f"SELECT * FROM (\n{violating}\n) AS violating LIMIT {MAX_EXAMPLES}").fetchall()
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, ValueError) as error:
        raise _invalid(name, str(error).strip().splitlines()[0]) from error
    examples = tuple(str(tuple(str(value) for value in row[:8]))[:160] for row in rows)
    message = f"Check '{name}' found {count:,} violating rows, such as {examples[0]}."
    severity = check.get("severity", "Error")
    return [Anomaly("CheckFailed", "Warning" if severity == "Warning" else "Error", None, message, count, examples)]


def _invalid(name: str, finding: str) -> Failure:
    message = f"The SQL of check '{name}' cannot run: {finding}; it must be one SELECT of the violating rows from the table data."
    return Failure("CheckInvalid", message)

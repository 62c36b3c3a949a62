#!/bin/sh
# Which of two rows with one time an ASOF JOIN takes depends on how many rows are joined with it.
set -eu
echo "duckdb 2.0.0: an ASOF JOIN takes the first of two rows with the same key and time where 63 rows are joined, and the last of them where 64 are; the row that is looked at is the same in both"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet duckdb==2.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import duckdb

QUOTES = "SELECT 'K' || i % 10 AS key, TIMESTAMP '2026-01-01' + INTERVAL (i // 20) SECOND AS at, i AS quote FROM range(2000) AS t(i)"
ROWS = "SELECT i AS id, 'K' || i % 10 AS key, TIMESTAMP '2026-01-01' AS at FROM range({}) AS t(i)"


def first_row(rows: int) -> int:
    """The quote that row 0, of key K0, is joined with; quotes 0 and 10 have its key and its time."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute(f"CREATE TABLE quotes AS {QUOTES}")
        connection.execute(f"CREATE TABLE looked_up AS {ROWS.format(rows)}")
        joined = connection.execute(
            "SELECT id, quote FROM looked_up ASOF JOIN quotes ON looked_up.key = quotes.key AND looked_up.at >= quotes.at"
        )
        return dict(joined.fetchall())[0]


few, many = first_row(63), first_row(64)
print(f"row 0 of 63 gets quote {few}, row 0 of 64 gets quote {many}")
assert (few, many) == (0, 10), (few, many)
PYTHON

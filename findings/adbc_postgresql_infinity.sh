#!/bin/sh
# PostgreSQL's infinity comes through ADBC as a time of the far past, without an error.
set -eu
echo "adbc-driver-postgresql 1.13.0 with PostgreSQL 16.2: the date and the timestamp 'infinity' arrive as values of the far past, which sort before every real time; the date '-infinity' is the day after the date 'infinity'"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet adbc-driver-postgresql==1.13.0 adbc-driver-manager==1.13.0 arro3-core==0.9.1 arro3-compute==0.9.1 pgserver==0.1.4
"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import sys
from pathlib import Path

import adbc_driver_postgresql
import pgserver
from adbc_driver_manager import AdbcConnection, AdbcStatement
from arro3.compute import cast
from arro3.core import DataType, RecordBatchReader

Path(sys.argv[1]).mkdir()
QUERY = """SELECT 'infinity'::date AS day, '-infinity'::date AS negative_day,
           'infinity'::timestamp AS time, '2026-01-01'::timestamp AS real_time"""


def read(uri: str) -> dict[str, int]:
    """The days or microseconds since 1970 of each column."""
    with adbc_driver_postgresql.connect(uri) as database, AdbcConnection(database) as connection:
        with AdbcStatement(connection) as statement:
            statement.set_sql_query(QUERY)
            table = RecordBatchReader.from_stream(statement.execute_query()[0]).read_all()
    whole = {"day": DataType.int32(), "negative_day": DataType.int32()}
    found = {}
    for name in table.schema.names:
        numbers = cast(table.column(name), whole.get(name, DataType.int64())).read_all()
        found[name] = int(cast(numbers, DataType.utf8()).read_all().to_pylist()[0])
    return found


with pgserver.get_server(sys.argv[1], cleanup_mode="delete") as server:
    found = read(server.get_uri())
print("days since 1970 of infinity and -infinity:", found["day"], found["negative_day"])
print("microseconds since 1970 of infinity and of 2026:", found["time"], found["real_time"])
assert found["negative_day"] == found["day"] + 1
assert found["day"] < 0 and found["time"] < 0 < found["real_time"]
PYTHON

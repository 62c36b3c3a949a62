"""PostgreSQL, by its ADBC driver: COPY brings batches of columns, so that memory holds one batch.

The driver's libpq connects to the address that was checked, and verifies the certificate by the host's name.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

import adbc_driver_manager
import adbc_driver_postgresql
from adbc_driver_manager import AdbcConnection, AdbcStatement
from arro3.core import DataType, Field, RecordBatch, RecordBatchReader, Schema

from flywheel_runtime.commands.fetch.databases import failures
from flywheel_runtime.commands.fetch.databases.session import CONNECT_SECONDS, Session
from flywheel_runtime.contract.errors import Failure

PORT = 5432
BATCH_BYTES = 8 << 20
MAX_TIMEOUT = 2**31 - 1  # ms, 24 days
# pg_type.typname → SQL for the cell. Types that are not here are refused. The driver reads money as cents.
AS_IT_IS, AS_TEXT = "{0}", "{0}::text"
# The driver moves infinity and the last years to other times without an error (measured), and they are no times to a model.
FINITE = "CASE WHEN {0} < '290000-01-01' AND isfinite({0}) THEN {0} END"
CELLS = {
    **dict.fromkeys(("bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "bpchar"), AS_IT_IS),
    **dict.fromkeys(("name", "uuid", "citext", "inet", "cidr", "macaddr"), AS_TEXT),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), FINITE),
    "numeric": "{0}::float8",
    "integral numeric": "CASE WHEN {0} <> 'NaN' THEN {0}::int8 END",
}
MAX_INT8_DIGITS = 18
# The driver says them of each column of a result.
TYPE, TYPMOD = "POSTGRESQL:type", "POSTGRESQL:typmod"
JSON = ("json", "jsonb")  # the only texts of the driver, beside enumerations, that are not in CELLS
# libpq gives no SQLSTATE for a login; a server that speaks another language is quoted as unreachable.
LOGIN_REFUSED = re.compile(
    r"authentication failed|no pg_hba\.conf entry|role .* does not exist|is not permitted to log in|no password|permission denied for database"
)
CLEAR_PASSWORD = re.compile(r"authentication method requirement")
DATABASE_MISSING = re.compile(r"database .* does not exist")
NOT_TRUSTED = re.compile(r"certificate|SSL|TLS", re.IGNORECASE)
SERVER_WORDS = re.compile(r"(?:ERROR|FATAL):\s+([^\n]+)")
# Errors that come while rows are sent have no SQLSTATE (measured); those that are not known here may quote the data.
SQLSTATE_OF_WORDS = (
    (re.compile(r"due to statement timeout"), "57014"),
    (re.compile(r"in a read-only transaction|transaction read-write mode"), "25006"),
    (re.compile(r"^permission denied for"), "42501"),
    (
        re.compile(r"terminating connection|server closed|conflict with recovery|out of memory|could not receive"),
        "08006",
    ),
)


@contextmanager
def read_batches(session: Session) -> Iterator[Iterator[RecordBatch]]:
    """The rows of the source in one read-only transaction. Raises Failure, also while the batches are read."""
    started = monotonic()
    with _connect(session) as connection:
        try:
            _begin(connection, session.source.timeout_seconds)
            query = _select(connection, session)
            with AdbcStatement(connection) as statement:
                statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
                statement.set_sql_query(query)
                stream, _ = statement.execute_query()
                yield RecordBatchReader.from_stream(stream)
        except adbc_driver_manager.Error as error:
            raise _failure(session, str(error), error.sqlstate, monotonic() - started) from error
        except Failure:
            raise
        except Exception as error:
            # The reader of the stream raises an exception of its own with the driver's text.
            if not SERVER_WORDS.search(str(error)) and "libpq" not in str(error):
                raise
            raise _failure(session, str(error), None, monotonic() - started) from error


def _connect(session: Session) -> AdbcConnection:
    try:
        database = adbc_driver_postgresql.connect(_connection_string(session))
        return AdbcConnection(database)
    except adbc_driver_manager.Error as error:
        text = str(error).replace(session.source.host, "the server")  # a name may have any word in it
        if LOGIN_REFUSED.search(text):
            raise failures.login_refused(session) from None
        if CLEAR_PASSWORD.search(text):
            raise failures.clear_password_refused(session) from None
        if DATABASE_MISSING.search(text):
            raise failures.database_missing(session) from None
        if NOT_TRUSTED.search(text):
            raise failures.not_trusted(session, _server_words(text)) from None
        raise failures.unreachable(session, _server_words(text)) from None


def _connection_string(session: Session) -> str:
    """Keywords and values of libpq. Nothing of the environment or of the home folder has a say."""
    source = session.source
    clear = {"sslmode": "disable", "require_auth": "!password,!md5"}
    verified = {"sslmode": "verify-full", "sslrootcert": str(session.authorities)}
    values: Mapping[str, str] = {
        "host": source.host,
        "hostaddr": session.address,
        "port": str(session.port),
        "dbname": source.database,
        "user": session.username,
        "password": session.password,
        "passfile": "/dev/null",
        "application_name": "flywheel",
        "client_encoding": "UTF8",
        "connect_timeout": str(CONNECT_SECONDS),
        "tcp_user_timeout": "60000",  # ms
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "gssencmode": "disable",
        "target_session_attrs": "any",
        **(verified if source.verifies else clear),
    }
    return " ".join(f"{key}={_quote_value(value)}" for key, value in values.items())


def _quote_value(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _begin(connection: AdbcConnection, timeout_seconds: int) -> None:
    """All that is set holds for the transaction alone, since a pooler may give the server's session to others."""
    connection.set_autocommit(False)
    for statement in (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        f"SET LOCAL statement_timeout = {min(timeout_seconds * 1000, MAX_TIMEOUT)}",
        "SET LOCAL timezone = 'UTC'",
    ):
        _execute(connection, statement)


def _execute(connection: AdbcConnection, query: str) -> None:
    with AdbcStatement(connection) as statement:
        statement.set_sql_query(query)
        statement.execute_update()


def _select(connection: AdbcConnection, session: Session) -> str:
    """The SELECT of all columns, each in a type that a Dataset has. Those that are ignored are there and have no values."""
    relation = _relation(session)
    with AdbcStatement(connection) as statement:
        statement.set_sql_query(f"SELECT * FROM {relation}")
        schema = Schema.from_arrow(statement.execute_schema())
        fields = [schema.field(number) for number in range(len(schema.names))]
    if {field.name for field in fields} <= set(session.source.ignore):
        raise failures.no_columns(session)
    select = f"SELECT {', '.join(_cell(session, field) for field in fields)} FROM {relation}"
    signature = [(field.name, field.metadata_str.get(TYPE), field.metadata_str.get(TYPMOD)) for field in fields]
    return session.add_condition(select, signature, _quote_identifier)


def _cell(session: Session, field: Field) -> str:
    name, metadata = _quote_identifier(field.name), field.metadata_str
    if field.name in session.source.ignore:
        return f"NULL::text AS {name}"
    kind = metadata.get(TYPE, "")
    is_enum = field.type == DataType.utf8() and kind not in JSON
    form = (
        CELLS["integral numeric" if kind == "numeric" and _is_integral(metadata) else kind] if kind in CELLS else None
    )
    if form is None and not is_enum:
        raise failures.unsupported_type(session, field.name, kind.removeprefix("_") + "[]" * kind.startswith("_"))
    return f"{(form or AS_TEXT).format(f'source.{name}')} AS {name}"


def _relation(session: Session) -> str:
    table, query = session.source.table, session.source.query
    if table is not None:
        return f"{'.'.join(_quote_identifier(part) for part in table.split('.'))} AS source"
    # The line break ends a comment at the end of the query.
    return f"(\n{(query or '').strip().rstrip(';')}\n) AS source"


def _is_integral(metadata: Mapping[str, str]) -> bool:
    """Whether a numeric has no decimal places and fits an int8, by PostgreSQL's type modifier: (precision << 16 | scale) + 4."""
    modifier = int(metadata.get(TYPMOD, "-1"))
    return modifier >= 4 and (modifier - 4) & 0x7FF == 0 and (modifier - 4) >> 16 <= MAX_INT8_DIGITS


def _quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _failure(session: Session, text: str, code: str | None, seconds: float) -> Failure:
    """The failure for an error of the transaction, by its SQLSTATE or else by its words."""
    words = _server_words(text)
    code = code or next((state for form, state in SQLSTATE_OF_WORDS if form.search(words)), "")
    if code == "57014" or (not code and seconds >= session.source.timeout_seconds):
        return failures.too_slow(session)
    if code == "42501":
        return failures.not_permitted(session, words)
    if code in ("42P01", "3F000") and session.source.table is not None:
        return failures.table_missing(session)
    if code == "25006":
        return failures.writes_refused(session, words)
    if code.startswith("42"):
        return failures.query_refused(session, words)
    if code[:2] in ("08", "40", "53", "55", "57", "58", "XX"):
        return failures.unreachable(session, words)
    return failures.value_refused(session, words, f"SQLSTATE {code}" if code else "while rows were sent")


def _server_words(text: str) -> str:
    """The server's own sentence, without the statement that the driver quotes."""
    found = SERVER_WORDS.findall(text)
    return found[-1] if found else text.removeprefix("IO: [libpq] ")

"""MariaDB, by PyMySQL: the server sends rows as text, which become columns of Arrow a few thousand rows at a time.

connectorx, whose wheel takes 196 MB, can neither connect to the address that was checked nor verify the certificate by the host's name then;
no ADBC driver of MariaDB is on PyPI.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pymysql
from arro3.core import Array, DataType, RecordBatch
from pymysql.constants import FIELD_TYPE, FLAG
from pymysql.converters import encoders
from pymysql.cursors import SSCursor

from flywheel_runtime.commands.fetch.databases import failures
from flywheel_runtime.commands.fetch.databases.session import CONNECT_SECONDS, Session
from flywheel_runtime.contract.errors import Failure

PORT = 3306
BATCH_ROWS, BATCH_CELLS = 10_000, 500_000
BATCH_CHARACTERS = 4 << 20  # of texts
SILENCE_SECONDS = 60  # beyond the statement's time limit
BINARY_CHARSET = 63
MAX_INT64_DIGITS = 18
# Ways to log in that give the password, or what it can be guessed from, to whoever listens or answers.
CLEAR_LOGINS = ("mysql_clear_password", "dialog", "mysql_old_password", "sha256_password", "caching_sha2_password")
WHOLE = (
    FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG, FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR,
)  # fmt: skip
TEXTS = (
    FIELD_TYPE.VAR_STRING, FIELD_TYPE.STRING, FIELD_TYPE.VARCHAR, FIELD_TYPE.ENUM, FIELD_TYPE.SET, FIELD_TYPE.TINY_BLOB,
    FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB, FIELD_TYPE.BLOB, FIELD_TYPE.JSON,
)  # fmt: skip
DECODERS = {**dict.fromkeys(WHOLE, int), FIELD_TYPE.DOUBLE: float}
LOGIN_REFUSED = (1044, 1045, 1251, 1275, 1698, 1862)
NOT_PERMITTED = (1142, 1143, 1227, 1370)
DATABASE_MISSING, TABLE_MISSING, READ_ONLY, SSL_MISSING, LOGIN_UNKNOWN = 1049, 1146, 1792, 2026, 2059
TIMED_OUT = (1317, 1969, 3024)
# Errors in the query's text, whose messages quote no data.
QUERY_REFUSED = (
    1052,
    1054,
    1055,
    1056,
    1060,
    1064,
    1066,
    1109,
    1111,
    1140,
    1146,
    1222,
    1241,
    1242,
    1248,
    1305,
    1582,
    1630,
)
RESOURCES = (1040, 1041, 1053, 1129, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1927)


class _ClearLogin:
    """What answers a server that asks for the password in clear over a connection in clear."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def authenticate(self, _packet: object) -> None:
        raise failures.clear_password_refused(self.session)


@dataclass(frozen=True)
class _Column:
    """A column of the result: SQL for its cells, the type of Arrow in which they come, and the one that they become."""

    name: str
    cell: str
    comes: DataType
    becomes: DataType | None = None

    def array(self, values: Sequence[Any]) -> Array:
        array = Array(values, type=self.comes)
        return array.cast(self.becomes) if self.becomes is not None else array


@contextmanager
def read_batches(session: Session) -> Iterator[Iterator[RecordBatch]]:
    """The rows of the source in one read-only transaction. Raises Failure, also while the batches are read."""
    connection = _connect(session)
    try:
        _begin(connection, session.source.timeout_seconds)
        columns = _describe(connection, session)
        cells = ", ".join(f"{column.cell} AS {_quote_identifier(column.name)}" for column in columns)
        signature = [(column.name, str(column.comes), str(column.becomes)) for column in columns]
        select = f"SELECT {cells} FROM {_relation(session)}"
        cursor = SSCursor(connection)
        try:
            cursor.execute(session.add_condition(select, signature, _quote_identifier))
            yield _batches(cursor, columns)
        finally:
            _leave_unread(cursor)
    except pymysql.err.Error as error:
        raise _failure(session, error) from error
    finally:
        with suppress(pymysql.err.Error):
            connection.close()


def _leave_unread(cursor: SSCursor) -> None:
    """At their ends, both the cursor and its result would read all rows that are left."""
    if cursor._result is not None:
        cursor._result.unbuffered_active = False
    cursor.connection = None


def _batches(cursor: SSCursor, columns: Sequence[_Column]) -> Iterator[RecordBatch]:
    rows: list[tuple[Any, ...]] = []
    characters = 0
    most = max(1, min(BATCH_ROWS, BATCH_CELLS // len(columns)))
    texts = [at for at, column in enumerate(columns) if column.comes == DataType.utf8()]
    while (row := cursor.fetchone()) is not None:
        rows.append(row)
        characters += sum(len(row[at] or "") for at in texts)
        if len(rows) >= most or characters >= BATCH_CHARACTERS:
            yield _batch(columns, rows)
            rows, characters = [], 0
    if rows:
        yield _batch(columns, rows)


def _batch(columns: Sequence[_Column], rows: Sequence[tuple[Any, ...]]) -> RecordBatch:
    arrays = [column.array(values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)]
    return RecordBatch.from_arrays(arrays, names=[column.name for column in columns])


def _connect(session: Session) -> pymysql.Connection:
    source = session.source
    tls: Mapping[str, Any] = {
        "ssl_disabled": True,
        "auth_plugin_map": dict.fromkeys(CLEAR_LOGINS, lambda _: _ClearLogin(session)),
    }
    if source.verifies:
        tls = {"ssl": ssl.create_default_context(cafile=str(session.authorities))}
    connection = pymysql.Connection(
        host=source.host,  # by which the certificate is verified
        user=session.username,
        password=session.password.encode(),
        database=source.database,
        charset="utf8mb4",
        conv={**encoders, **DECODERS},
        read_timeout=source.timeout_seconds + SILENCE_SECONDS,
        write_timeout=CONNECT_SECONDS,
        program_name="flywheel",
        defer_connect=True,
        **tls,
    )
    try:
        # Not by its name, which might have another address by now.
        sock = socket.create_connection((session.address, session.port), CONNECT_SECONDS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.connect(sock)
    except OSError as error:
        raise failures.unreachable(session, error.strerror or str(error)) from error
    except pymysql.err.Error as error:
        raise _login_failure(session, error) from None
    except RuntimeError as error:  # a plugin of the login that needs a library which is not here
        raise failures.login_unknown(session) from error
    return connection


def _login_failure(session: Session, error: pymysql.err.Error) -> Failure:
    code = _code(error)
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLError):
        return failures.not_trusted(session, getattr(cause, "verify_message", "") or cause.reason or "TLS failed")
    if code == SSL_MISSING:
        return failures.not_trusted(session, "the server has no TLS")
    if code in LOGIN_REFUSED:
        return failures.login_refused(session)
    if code == LOGIN_UNKNOWN:
        return failures.login_unknown(session)
    if code == DATABASE_MISSING:
        return failures.database_missing(session)
    return failures.unreachable(session, _words(error))


def _begin(connection: pymysql.Connection, timeout_seconds: int) -> None:
    with closing(connection.cursor()) as cursor:
        for statement in (
            "SET SESSION time_zone = '+00:00'",
            f"SET SESSION max_statement_time = {timeout_seconds}",
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ):
            cursor.execute(statement)


def _describe(connection: pymysql.Connection, session: Session) -> list[_Column]:
    """The columns of the source. Those that are ignored are there and have no values."""
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SELECT * FROM {_relation(session)} LIMIT 0")
        fields = list(cursor._result.fields)  # `description` has neither flags nor character set
    if {field.name for field in fields} <= set(session.source.ignore):
        raise failures.no_columns(session)
    return [_column(session, field) for field in fields]


def _column(session: Session, field: Any) -> _Column:
    name = f"source.{_quote_identifier(field.name)}"
    kind = field.type_code
    if field.name in session.source.ignore or kind == FIELD_TYPE.NULL:
        return _Column(field.name, "CAST(NULL AS CHAR)", DataType.utf8())
    if kind in WHOLE:
        whole = DataType.uint64() if field.flags & FLAG.UNSIGNED else DataType.int64()
        return _Column(field.name, name, whole)
    if kind in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        # The length of a decimal without places counts its digits, and its sign if it has one.
        sign = 0 if field.flags & FLAG.UNSIGNED else 1
        if field.scale == 0 and field.length - sign <= MAX_INT64_DIGITS:
            return _Column(field.name, f"CAST({name} AS SIGNED)", DataType.int64())
        return _Column(field.name, f"CAST({name} AS DOUBLE)", DataType.float64())
    if kind in (FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE):  # as text, a FLOAT has six digits
        return _Column(field.name, f"CAST({name} AS DOUBLE)", DataType.float64())
    if kind in (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE):  # NULL of 0000-00-00, which is no day
        return _Column(field.name, f"DATEDIFF({name}, '1970-01-01')", DataType.int32(), DataType.date32())
    if kind in (FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP):
        zone = "UTC" if kind == FIELD_TYPE.TIMESTAMP else None
        micros = f"TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {name})"
        return _Column(field.name, micros, DataType.int64(), DataType.timestamp("us", tz=zone))
    if kind in TEXTS and field.charsetnr != BINARY_CHARSET:
        return _Column(field.name, name, DataType.utf8())
    raise failures.unsupported_type(session, field.name, _type_name(kind))


def _type_name(kind: int) -> str:
    if kind in TEXTS:
        return "BINARY or BLOB"
    return next((name for name, number in vars(FIELD_TYPE).items() if number == kind), str(kind))


def _relation(session: Session) -> str:
    table, query = session.source.table, session.source.query
    if table is not None:
        return f"{'.'.join(_quote_identifier(part) for part in table.split('.'))} AS source"
    # The line break ends a comment at the end of the query.
    return f"(\n{(query or '').strip().rstrip(';')}\n) AS source"


def _quote_identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _failure(session: Session, error: pymysql.err.Error) -> Failure:
    code, words = _code(error), _words(error)
    if code in TIMED_OUT:
        return failures.too_slow(session)
    if code in NOT_PERMITTED:
        return failures.not_permitted(session, words)
    if code == TABLE_MISSING and session.source.table is not None:
        return failures.table_missing(session)
    if code == READ_ONLY:
        return failures.writes_refused(session, words)
    if code in QUERY_REFUSED:
        return failures.query_refused(session, words)
    if code in RESOURCES or 2000 <= code < 3000:  # the client's own codes
        return failures.unreachable(session, words)
    return failures.value_refused(session, words, f"error {code}")


def _code(error: pymysql.err.Error) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _words(error: pymysql.err.Error) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)

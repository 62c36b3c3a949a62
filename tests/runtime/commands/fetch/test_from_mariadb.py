"""fetch reads a table or a query of MariaDB 10.11, within its bounds, and says what is wrong with either side."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from e2e.tokens import certificate
from tests.runtime.commands.fetch.sql_pod import SqlPod
from tests.runtime.mariadb_server import OWNER, PASSWORD, Database, running

pytestmark = pytest.mark.integration  # a real MariaDB

READER = {"username": "reader", "password": PASSWORD}
QUOTED = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
# Column, type, value in SQL, type in DuckDB, value as text.
CELLS = [
    ("yes", "boolean", "true", "BIGINT", "1"),
    ("small", "smallint", "-7", "BIGINT", "-7"),
    ("big", "bigint", "9223372036854775807", "BIGINT", "9223372036854775807"),
    ("huge", "bigint unsigned", "18446744073709551615", "UBIGINT", "18446744073709551615"),
    ("year", "year", "2026", "UBIGINT", "2026"),
    ("single", "float", "1.1", "DOUBLE", "1.100000023841858"),
    ("double", "double", "0.1", "DOUBLE", "0.1"),
    ("price", "decimal(10,2)", "12.34", "DOUBLE", "12.34"),
    ("digits", "decimal(18,0)", "123456789012345678", "BIGINT", "123456789012345678"),
    ("text", "text", "'Zürich, ''x'' 😀'", "VARCHAR", "Zürich, 'x' 😀"),
    ("short", "varchar(5)", "''", "VARCHAR", ""),
    ("old", "varchar(5) CHARACTER SET latin1", "'é'", "VARCHAR", "é"),
    ("mood", "enum('sad','glad')", "'glad'", "VARCHAR", "glad"),
    ("document", "json", "'{\"a\": 1}'", "VARCHAR", '{"a": 1}'),
    ("day", "date", "'2026-02-28'", "DATE", "2026-02-28"),
    ("at", "datetime(6)", "'2026-02-28 12:30:00.5'", "TIMESTAMP", "2026-02-28 12:30:00.5"),
    ("moment", "timestamp(3) NULL", "'2026-02-28 12:30:00.125'", "TIMESTAMP WITH TIME ZONE", "2026-02-28 12:30:00.125+00"),
    ("before", "datetime", "'1001-01-01 00:00:01'", "TIMESTAMP", "1001-01-01 00:00:01"),
    ("never", "date", "'0000-00-00'", "DATE", None),
    ("null", "int", "NULL", "BIGINT", None),
    ("quo`ted", "int", "1", "BIGINT", "1"),
]  # fmt: skip


def quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@pytest.fixture(scope="module")
def shop_database() -> Iterator[Database]:
    with running() as found:
        columns = ", ".join(f"{quote(name)} {kind}" for name, kind, *_ in CELLS)
        values = ", ".join(value for _, _, value, *_ in CELLS)
        found.execute(
            f"CREATE USER reader@'%' IDENTIFIED BY '{QUOTED}'",
            f"CREATE TABLE cells ({columns})",
            "SET SESSION sql_mode = '', time_zone = '+00:00'",
            f"INSERT INTO cells VALUES ({values})",
            "CREATE TABLE orders AS SELECT seq AS id, seq % 3 AS size, seq % 2 AS late FROM seq_1_to_300",
            "CREATE TABLE empty (id int)",
            "CREATE TABLE odd (id int, photo blob, at time, bits bit(3))",
            "INSERT INTO odd VALUES (1, 'x', '01:00', b'101')",
            "CREATE TABLE secret AS SELECT 1 AS id",
            "CREATE FUNCTION write_something() RETURNS int BEGIN INSERT INTO empty VALUES (1); RETURN 1; END",
            *(f"GRANT SELECT ON shop.{table} TO reader@'%'" for table in ("cells", "orders", "empty", "odd")),
            "GRANT INSERT ON shop.empty TO reader@'%'",
            "GRANT EXECUTE ON shop.* TO reader@'%'",
        )
        yield found


@contextmanager
def ask_for_clear_password() -> Iterator[tuple[int, list[bytes]]]:
    """A server on loopback that greets as MariaDB does, and then wants the password in clear: its port, and what it got."""
    received: list[bytes] = []
    capabilities = struct.pack("<HBHH", 0xF7FF & ~0x0800, 33, 2, 0x001F)  # without TLS
    greeting = b"\x0a10.11.0-MariaDB\0" + b"\1\0\0\0" + b"12345678\0" + capabilities + b"\x15" + b"\0" * 10
    greeting += b"123456789012\0mysql_native_password\0"

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(struct.pack("<I", len(greeting)) + greeting)
            received.append(connection.recv(4096))
            switch = b"\xfemysql_clear_password\0"
            connection.sendall(struct.pack("<I", len(switch) | 2 << 24) + switch)
            received.append(connection.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1], received
        thread.join(10)


Pods = Callable[..., SqlPod]


@pytest.fixture
def pods(shop_database: Database, tmp_path: Path) -> Pods:
    """pods(**login) -> a pod with that login in place of the reader's."""
    numbers = count(1)

    def make(**login: str) -> SqlPod:
        return SqlPod(tmp_path / f"pod-{next(numbers)}", shop_database.port, "MariaDB", "shop", READER | login)

    return make


def test_a_value_of_each_type_arrives_as_it_is(pods: Pods) -> None:
    fetched = pods().read(table="cells")

    names = [name for name, *_ in CELLS]
    types, values = (
        fetched.rows(", ".join(form.format('"' + name + '"') for name in names))[0]
        for form in ("typeof({})", "{}::VARCHAR")
    )
    assert list(zip(names, types, values, strict=True)) == [(name, kind, value) for name, _, _, kind, value in CELLS]


def test_no_value_is_read_of_a_column_that_is_ignored(pods: Pods) -> None:
    query = "SELECT id, size * 2 AS twice, late FROM orders WHERE id <= 2 -- and a comment"

    assert pods().read(query=query, ignore=["late"]).rows() == [(1, 2, None), (2, 4, None)]


def test_many_rows_come_in_batches_of_which_memory_holds_one(pods: Pods) -> None:
    query = "SELECT a.id * 300 + b.id AS id, repeat('x', 100) AS text FROM orders AS a, orders AS b WHERE a.id <= 100"

    fetched = pods().read(query=query)

    assert len(fetched.files) == 3
    assert fetched.rows("count(*), count(DISTINCT id)") == [(30000, 30000)]


@pytest.mark.parametrize(
    ("source", "code", "reason", "words"),
    [
        pytest.param({"table": "nowhere"}, 1, "CredentialsRefused", ["grant SELECT"], id="no table, of which a reader without rights is not told"),
        pytest.param({"table": "orders", "database": "none"}, 1, "CredentialsRefused", ["refuses the login to database 'none'"], id="no database"),
        pytest.param({"table": "empty"}, 2, "EmptySource", ["table 'empty' has no rows"], id="no rows"),
        pytest.param({"table": "secret"}, 1, "CredentialsRefused", ["denied", "grant SELECT"], id="no right"),
        pytest.param({"query": "SELECT nothing FROM cells"}, 2, "QueryInvalid", ["Unknown column 'nothing'", "correct"], id="no column"),
        pytest.param({"query": "SELECT FROM WHERE"}, 2, "QueryInvalid", ["error in your SQL syntax"], id="no SQL"),
        pytest.param({"query": "SELECT 1 AS id; DROP TABLE cells"}, 2, "QueryInvalid", ["error in your SQL syntax"], id="two statements"),
        pytest.param({"query": "SELECT 1 AS id INTO OUTFILE '/tmp/flywheel'"}, 2, "QueryInvalid", ["error in your SQL syntax"], id="a file on the server"),
        pytest.param({"query": "SELECT write_something() AS id"}, 2, "QueryInvalid", ["READ ONLY transaction", "only reads"], id="a query that writes"),
        pytest.param({"query": "SELECT sleep(9) AS id", "timeoutSeconds": 1}, 2, "QueryTimeout", ["within 1 s", "raise"], id="slow"),
        pytest.param({"table": "odd"}, 2, "UnsupportedType", ["column 'photo' of table 'odd' has the type BINARY or BLOB", "spec.ignore"], id="a blob"),
        pytest.param({"table": "odd", "ignore": ["photo"]}, 2, "UnsupportedType", ["the type TIME"], id="a time of the day"),
        pytest.param({"table": "odd", "ignore": ["photo", "at"]}, 2, "UnsupportedType", ["the type BIT"], id="bits"),
        pytest.param({"table": "empty", "ignore": ["id"]}, 2, "QueryInvalid", ["no column that is not ignored"], id="nothing left"),
        pytest.param({"table": "orders", "maxRows": 299}, 2, "TooLarge", ["more than 299 rows", "maxRows"], id="too many rows"),
        pytest.param({"table": "orders", "allowedHosts": ["db.example"]}, 2, "HostNotAllowed", ["'localhost'", "db.example"], id="a host that is not allowed"),
        pytest.param({"table": "orders", "port": 9}, 1, "SourceUnreachable", ["localhost:9", "refused", "see that it runs"], id="nobody there"),
        pytest.param({"table": "orders", "tls": "Verify"}, 1, "TLSRefused", ["no TLS", "ca.crt"], id="no TLS"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(pods: Pods, source: dict[str, Any], code: int, reason: str, words: list[str]) -> None:
    found = pods().read(**source).failure

    assert found[:2] == (code, reason), found
    assert [word for word in words if word not in found[2]] == [], found


@pytest.mark.parametrize(
    ("login", "words"),
    [
        pytest.param({"password": "another"}, "refuses the login", id="another password"),
        pytest.param({"username": "nobody"}, "refuses the login", id="another user"),
    ],
)
def test_a_login_that_is_refused_names_its_secret_and_not_its_content(
    pods: Pods, capfd: pytest.CaptureFixture[str], login: dict[str, str], words: str
) -> None:
    fetched = pods(**login).read(table="orders")

    assert fetched.failure[:2] == (1, "CredentialsRefused")
    assert words in fetched.failure[2]
    assert "Secret 'shop-db'" in fetched.failure[2]
    said = fetched.failure[2] + "".join(capfd.readouterr())
    assert not [value for value in (READER | login).values() if value in said]


def test_the_certificate_of_the_server_is_verified(tmp_path: Path) -> None:
    (here, key), (other, _) = certificate("localhost"), certificate("db.example")
    with running(here + key) as database:
        database.execute("CREATE TABLE numbers AS SELECT 1 AS id")

        def read(name: str, **authorities: str) -> Any:
            login = {"username": OWNER, "password": PASSWORD, **authorities}
            return SqlPod(tmp_path / name, database.port, "MariaDB", "shop", login).read(table="numbers", tls="Verify")

        assert read("its-own", **{"ca.crt": here.decode()}).rows() == [(1,)]
        assert read("another", **{"ca.crt": other.decode()}).failure[1] == "TLSRefused"
        assert read("public authorities").failure[1] == "TLSRefused"


def test_a_password_is_never_sent_in_clear(tmp_path: Path) -> None:
    """A server in its place greets as MariaDB does, and asks for the password itself."""
    with ask_for_clear_password() as (port, received):
        pod = SqlPod(tmp_path / "pod", port, "MariaDB", "shop", READER)
        found = pod.read(table="orders").failure

    assert found[1] == "TLSRefused"
    assert "in clear" in found[2]
    assert PASSWORD.encode() not in b"".join(received)

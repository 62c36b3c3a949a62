"""fetch reads a table or a query of PostgreSQL 15, within its bounds, and says what is wrong with either side."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest

from e2e.tokens import certificate
from tests.runtime.commands.fetch.sql_pod import SqlPod
from tests.runtime.postgres_server import PASSWORD, Database, running

pytestmark = pytest.mark.integration  # a real PostgreSQL

READER = {"username": "reader", "password": PASSWORD}
QUOTED = PASSWORD.replace("'", "''")
# Column, type, value in SQL, type in DuckDB, value as text.
CELLS = [
    ("yes", "boolean", "true", "BOOLEAN", "true"),
    ("small", "int2", "-7", "SMALLINT", "-7"),
    ("big", "int8", "9223372036854775807", "BIGINT", "9223372036854775807"),
    ("single", "real", "1.5", "FLOAT", "1.5"),
    ("double", "double precision", "'NaN'", "DOUBLE", "nan"),
    ("price", "numeric(10,2)", "12.34", "DOUBLE", "12.34"),
    ("any", "numeric", "0.1", "DOUBLE", "0.1"),
    ("digits", "numeric(18,0)", "123456789012345678", "BIGINT", "123456789012345678"),
    ("text", "text", "'Zürich, ''x'''", "VARCHAR", "Zürich, 'x'"),
    ("short", "varchar(5)", "''", "VARCHAR", ""),
    ("id128", "uuid", "'00000000-0000-0000-0000-00000000000a'", "VARCHAR", "00000000-0000-0000-0000-00000000000a"),
    ("mood", "mood", "'glad'", "VARCHAR", "glad"),
    ("zip", "zip", "'8001'", "VARCHAR", "8001"),
    ("address", "inet", "'10.0.0.1'", "VARCHAR", "10.0.0.1/32"),
    ("day", "date", "'2026-02-28'", "DATE", "2026-02-28"),
    ("at", "timestamp", "'2026-02-28 12:30:00.5'", "TIMESTAMP", "2026-02-28 12:30:00.5"),
    ("moment", "timestamptz", "'2026-02-28 12:30:00+02'", "TIMESTAMP WITH TIME ZONE", "2026-02-28 10:30:00+00"),
    ("never", "timestamptz", "'infinity'", "TIMESTAMP WITH TIME ZONE", None),
    ("last", "timestamp", "'294276-01-01'", "TIMESTAMP", None),
    ("always", "date", "'-infinity'", "DATE", None),
    ("null", "int4", "NULL", "INTEGER", None),
    ('quo"ted', "int4", "1", "INTEGER", "1"),
]


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def run_query(path: Path, selected: str) -> list[tuple[Any, ...]]:
    """Columns of a Parquet file, and what follows the file's name in SQL."""
    columns, _, rest = selected.partition(" ")
    with duckdb.connect() as connection:
        return list(connection.execute(f"SELECT {columns} FROM '{path}' {rest}").fetchall())


@pytest.fixture(scope="module")
def shop_database() -> Iterator[Database]:
    with running() as found:
        columns = ", ".join(f"{quote(name)} {kind}" for name, kind, *_ in CELLS)
        values = ", ".join(value for _, _, value, *_ in CELLS)
        found.execute(
            "CREATE TYPE mood AS ENUM ('sad', 'glad')",
            "CREATE DOMAIN zip AS text CHECK (length(VALUE) = 4)",
            f"CREATE ROLE reader LOGIN PASSWORD '{QUOTED}'",
            f"CREATE TABLE cells ({columns})",
            f"INSERT INTO cells VALUES ({values})",
            "CREATE SCHEMA shop",
            "CREATE TABLE shop.orders AS SELECT id, id % 3 AS size, id % 2 AS late FROM generate_series(1, 300) AS id",
            "CREATE TABLE empty (id int)",
            "CREATE TABLE odd (id int, price money, parts int[], extra jsonb)",
            "INSERT INTO odd VALUES (1, '1.50', '{1}', '{}')",
            "GRANT USAGE ON SCHEMA shop TO reader",
            "GRANT SELECT ON cells, shop.orders, empty, odd TO reader",
            "CREATE TABLE secret AS SELECT 1 AS id",
        )
        yield found


@pytest.fixture
def pods(shop_database: Database, tmp_path: Path) -> Callable[..., SqlPod]:
    """pods(**login) -> a pod with that login in place of the reader's."""
    numbers = count(1)

    def make(**login: str) -> SqlPod:
        return SqlPod(tmp_path / f"pod-{next(numbers)}", shop_database.port, "PostgreSQL", "postgres", READER | login)

    return make


Pods = Callable[..., SqlPod]


def test_a_value_of_each_type_arrives_as_it_is(pods: Pods) -> None:
    fetched = pods().read(table="cells")

    names = [name for name, *_ in CELLS]
    types, values = (
        fetched.rows(", ".join(form.format(quote(name)) for name in names))[0] for form in ("typeof({})", "{}::VARCHAR")
    )
    assert list(zip(names, types, values, strict=True)) == [(name, kind, value) for name, _, _, kind, value in CELLS]


def test_no_value_is_read_of_a_column_that_is_ignored(pods: Pods) -> None:
    query = "SELECT id, size * 2 AS twice, late FROM shop.orders WHERE id <= 2 -- and a comment"

    assert pods().read(query=query, ignore=["late"]).rows() == [(1, 2, None), (2, 4, None)]


def test_columns_that_a_dataset_cannot_hold_may_be_left_out(pods: Pods) -> None:
    assert pods().read(table="odd", ignore=["price", "parts", "extra"]).rows("id") == [(1,)]


def test_the_same_rows_in_another_order_are_the_same_version(
    shop_database: Database, pods: Pods, run_check: Any
) -> None:
    spec: dict[str, Any] = {"keys": ["id"], "target": "late", "sortByKeys": True}

    def check() -> dict[str, Any]:
        result = run_check(pods().read(table="shop.orders").files, anew=True, **spec)
        assert result.code == 0, result.failure
        facts: dict[str, Any] = result.output("facts.json")
        return facts

    first = check()
    shop_database.execute(
        "UPDATE shop.orders SET size = size WHERE id < 50"
    )  # which writes these rows anew, at the end
    assert shop_database.one("SELECT id FROM shop.orders LIMIT 1") == 50
    again = check()
    shop_database.execute("UPDATE shop.orders SET size = size + 1 WHERE id = 50")
    changed = check()

    assert again == first
    assert changed["content"] != first["content"]
    assert first["rows"] == 300


def test_only_rows_that_changed_are_read_and_they_replace_those_of_their_keys(
    shop_database: Database, pods: Pods, run_check: Any
) -> None:
    shop_database.execute(
        "CREATE TABLE parcels AS SELECT id, id % 3 AS size, id % 2 AS late, now() - id * interval '1 minute' AS changed FROM generate_series(1, 300) AS id",
        "GRANT SELECT ON parcels TO reader",
    )
    last: Any = None

    def check(query: str = "SELECT * FROM parcels", **incremental: Any) -> tuple[int, dict[str, Any]]:
        nonlocal last
        by = {"column": "changed", "fullEverySeconds": 3600} | incremental
        fetched = pods().read(query=query, incremental=by, snapshot=last and last.root / "outputs" / "snapshot")
        assert fetched.code == 0, fetched.failure
        spec = {"keys": ["id"], "target": "late", "sortByKeys": True, "incremental": {"column": "changed"}}
        last = run_check(fetched.files, anew=True, snapshot=last, previous=last, **spec)
        assert last.code == 0, last.failure
        is_read = any(name.endswith(".parquet") for name in fetched.files)
        return fetched.rows("count(*)")[0][0] if is_read else 0, last.output("facts.json")

    first = check()
    shop_database.execute(
        "UPDATE parcels SET size = 7, changed = now() WHERE id = 5", "INSERT INTO parcels VALUES (301, 1, 1, now())"
    )
    second = check()
    shop_database.execute("DELETE FROM parcels WHERE id = 9")
    third = check()
    full = check(fullEverySeconds=0)
    other = check("SELECT id, size, late, changed FROM parcels")
    changed = run_query(last.root / "outputs" / "snapshot" / "rows.parquet", "size WHERE id = 5")

    # The newest row is read again: another one of its time may have come since.
    assert [rows for rows, _ in (first, second, third, full, other)] == [300, 3, 1, 300, 300]
    assert [facts["rows"] for _, facts in (first, second, third, full)] == [300, 301, 301, 300]
    assert second[1]["content"] == third[1]["content"]
    assert full[1]["content"] == other[1]["content"] != third[1]["content"]
    assert changed == [(7,)]


def test_missing_keys_times_in_the_future_and_a_lost_file_lose_no_row(
    shop_database: Database, pods: Pods, run_check: Any
) -> None:
    shop_database.execute(
        "CREATE TABLE stock AS SELECT id, nullif(id % 3, 0) AS variant, 1 AS size, id % 2 AS late, now() - interval '1 hour' AS changed FROM generate_series(1, 90) AS id",
        "UPDATE stock SET changed = '2099-01-01' WHERE id = 7",
        "GRANT SELECT ON stock TO reader",
    )
    last: Any = None

    def check() -> tuple[int, int]:
        nonlocal last
        by = {"column": "changed", "fullEverySeconds": 3600}
        fetched = pods().read(table="stock", incremental=by, snapshot=last and last.root / "outputs" / "snapshot")
        spec = {"keys": ["id", "variant"], "target": "late", "sortByKeys": True, "incremental": {"column": "changed"}}
        last = run_check(fetched.files, anew=True, snapshot=last, previous=last, **spec)
        assert last.code == 0, last.failure
        return fetched.rows("count(*)")[0][0], last.output("facts.json")["rows"]

    first = check()
    shop_database.execute("UPDATE stock SET size = 5, changed = now() WHERE id = 6")
    second = check()
    snapshot = last.root / "outputs" / "snapshot"
    sizes = run_query(snapshot / "rows.parquet", "size WHERE id = 6")
    (snapshot / "rows.parquet").unlink()
    third = check()

    assert (first, second, third) == ((90, 90), (2, 90), (90, 90))
    assert sizes == [(5,)]


def test_many_rows_come_in_batches_of_which_memory_holds_one(pods: Pods) -> None:
    query = "SELECT id, repeat('x', 100) AS text FROM generate_series(1, 200000) AS id"

    fetched = pods().read(query=query)

    assert len(fetched.files) > 2
    assert fetched.rows("count(*), min(id), max(id), count(DISTINCT id)") == [(200000, 1, 200000, 200000)]


@pytest.mark.parametrize(
    ("source", "code", "reason", "words"),
    [
        pytest.param({"table": "nowhere"}, 2, "SourceMissing", ["table 'nowhere' does not exist", "create it"], id="no table"),
        pytest.param({"table": "nowhere.orders"}, 2, "SourceMissing", ["'nowhere.orders'"], id="no schema"),
        pytest.param({"table": "orders", "database": "none"}, 2, "SourceMissing", ["database 'none' does not exist", "create it"], id="no database"),
        pytest.param({"table": "empty"}, 2, "EmptySource", ["table 'empty' has no rows"], id="no rows"),
        pytest.param({"table": "secret"}, 1, "CredentialsRefused", ["permission denied for table secret", "grant SELECT"], id="no right"),
        pytest.param({"query": "SELECT nothing FROM cells"}, 2, "QueryInvalid", ['column "nothing" does not exist', "correct"], id="no column"),
        pytest.param({"query": "SELECT FROM WHERE"}, 2, "QueryInvalid", ["syntax error"], id="no SQL"),
        pytest.param({"query": "SELECT 1 AS id; DROP TABLE cells"}, 2, "QueryInvalid", ["syntax error"], id="two statements"),
        pytest.param({"query": "SELECT 1) TO PROGRAM 'id' --"}, 2, "QueryInvalid", [], id="a way out of the query"),
        pytest.param({"query": "SELECT nextval('counter')"}, 2, "QueryInvalid", ["read-only transaction", "only reads"], id="a query that writes"),
        pytest.param({"query": "SELECT size / (id - 7) FROM shop.orders"}, 2, "QueryInvalid", ["a value broke the query", "the log"], id="a value that breaks it"),
        pytest.param({"query": "SELECT 1 AS id FROM pg_sleep(9)", "timeoutSeconds": 1}, 2, "QueryTimeout", ["within 1 s", "raise"], id="slow"),
        pytest.param({"table": "odd"}, 2, "UnsupportedType", ["column 'price' of table 'odd' has the type money", "spec.ignore"], id="money"),
        pytest.param({"table": "odd", "ignore": ["price"]}, 2, "UnsupportedType", ["the type int4[]"], id="an array"),
        pytest.param({"table": "odd", "ignore": ["price", "parts"]}, 2, "UnsupportedType", ["the type jsonb"], id="jsonb"),
        pytest.param({"table": "empty", "ignore": ["id"]}, 2, "QueryInvalid", ["no column that is not ignored"], id="nothing left"),
        pytest.param({"table": "shop.orders", "maxRows": 299}, 2, "TooLarge", ["more than 299 rows", "maxRows"], id="too many rows"),
        pytest.param({"table": "shop.orders", "host": "db.example"}, 2, "HostNotAllowed", ["'db.example'", "localhost"], id="a host that is not allowed"),
        pytest.param({"table": "shop.orders", "port": 9}, 1, "SourceUnreachable", ["localhost:9", "refused", "see that it runs"], id="nobody there"),
        pytest.param({"table": "shop.orders", "tls": "Verify"}, 1, "TLSRefused", ["does not support SSL", "ca.crt"], id="no TLS"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    shop_database: Database, pods: Pods, source: dict[str, Any], code: int, reason: str, words: list[str]
) -> None:
    shop_database.execute("CREATE SEQUENCE IF NOT EXISTS counter", "GRANT USAGE ON SEQUENCE counter TO reader")

    found = pods().read(**source).failure

    assert found[:2] == (code, reason), found
    assert [word for word in words if word not in found[2]] == [], found


def test_a_query_cannot_leave_its_read_only_transaction(shop_database: Database, pods: Pods) -> None:
    query = "SELECT set_config('transaction_read_only', 'off', true), lo_create(4711)::text AS oid"

    assert pods().read(query=query).failure[1] == "QueryInvalid"
    assert shop_database.one("SELECT count(*) FROM pg_largeobject_metadata") == 0


@pytest.mark.parametrize("allowed", [[], ["db.example"], ["*.example"]])
def test_a_host_that_is_not_allowed_gets_no_login(pods: Pods, allowed: list[str]) -> None:
    assert pods().read(table="shop.orders", allowedHosts=allowed).failure[1] == "HostNotAllowed"


def test_rows_beyond_the_limit_for_inputs_are_refused(pods: Pods) -> None:
    fetched = pods().read(table="shop.orders", limit=100)

    assert fetched.failure[:2] == (2, "TooLarge")
    assert "raise the limit" in fetched.failure[2]


@pytest.mark.parametrize(
    ("login", "words"),
    [
        pytest.param({"password": "another"}, "refuses the login", id="another password"),
        pytest.param({"username": "nobody"}, "refuses the login", id="another user"),
        pytest.param({"password": ""}, "key 'password' of Secret 'shop-db' is missing or empty", id="no password"),
    ],
)
def test_a_login_that_is_refused_names_its_secret_and_not_its_content(
    pods: Pods, capfd: pytest.CaptureFixture[str], login: dict[str, str], words: str
) -> None:
    fetched = pods(**login).read(table="shop.orders")

    assert fetched.failure[0] == 1
    assert words in fetched.failure[2]
    assert "Secret 'shop-db'" in fetched.failure[2]
    said = fetched.failure[2] + "".join(capfd.readouterr())
    assert not [value for value in (READER | login).values() if value and value in said]


def test_the_certificate_of_the_server_is_verified(tmp_path: Path) -> None:
    (here, key), (other, _) = certificate("localhost"), certificate("db.example")
    with running(here + key) as database:
        database.execute("CREATE TABLE numbers AS SELECT 1 AS id")

        def read(name: str, **authorities: str) -> Any:
            login = {"username": "owner", "password": PASSWORD, **authorities}
            pod = SqlPod(tmp_path / name, database.port, "PostgreSQL", "postgres", login)
            return pod.read(table="numbers", tls="Verify")

        assert read("its-own", **{"ca.crt": here.decode()}).rows() == [(1,)]
        assert read("another", **{"ca.crt": other.decode()}).failure[1] == "TLSRefused"
        assert read("public authorities").failure[1] == "TLSRefused"


def test_a_password_is_never_sent_in_clear(tmp_path: Path, shop_database: Database) -> None:
    hba = shop_database.folder / "data" / "pg_hba.conf"
    before = hba.read_text()
    hba.write_text("host all all 127.0.0.1/32 password\n")
    shop_database.execute("SELECT pg_reload_conf()")
    try:
        found = (
            SqlPod(tmp_path / "pod", shop_database.port, "PostgreSQL", "postgres", READER)
            .read(table="shop.orders")
            .failure
        )
    finally:
        hba.write_text(before)
        shop_database.execute("SELECT pg_reload_conf()")
    assert found[1] == "TLSRefused"
    assert "in clear" in found[2]

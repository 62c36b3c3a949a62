"""MariaDB 10.11 of Debian on loopback."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql

from e2e.cluster import database_servers
from e2e.waiting import wait_until
from tests.runtime.s3_server import free_port

OWNER, PASSWORD = "owner", "o'ner\\ s3cret ü"
READY = "ready for connections"
# What makes an empty folder a database, in this order.
SYSTEM_TABLES = ("mysql_system_tables.sql", "mysql_system_tables_data.sql")


@dataclass(frozen=True)
class Database:
    """The server; `owner` may do everything in database `shop`."""

    port: int

    def execute(self, *statements: str) -> None:
        """Run statements as the owner."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def one(self, query: str) -> object:
        """The only value of a query."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            [[value]] = cursor.fetchall()
            return value

    def _connect(self) -> pymysql.Connection:
        login = {"user": OWNER, "password": PASSWORD.encode(), "database": "shop"}
        return pymysql.connect(host="127.0.0.1", port=self.port, charset="utf8mb4", autocommit=True, **login)


@contextmanager
def running(certificate: bytes | None = None) -> Iterator[Database]:
    """MariaDB on a free port of loopback; `certificate` is its certificate with the key."""
    folder = Path(tempfile.mkdtemp(prefix="flywheel-mariadb-"))
    root = database_servers.root_of(database_servers.MARIADB)
    port, log = free_port(), folder / "log"
    try:
        command = _prepare(folder, root)
        if certificate is not None:
            own = folder / "server.pem"
            own.write_bytes(certificate)
            command += [f"--ssl-cert={own}", f"--ssl-key={own}"]
        command += ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder / 'socket'}"]
        environment = database_servers.environment(root)
        with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as process:
            try:
                wait_until(lambda: READY in log.read_text() or process.poll() is not None, 60)
                assert process.poll() is None, log.read_text()
                yield Database(port)
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(folder: Path, root: Path) -> list[str]:
    """Make the system's tables, the database and its owner; the command that starts the server."""
    share = root / "usr/share/mysql"
    data = folder / "data"
    data.mkdir()
    user = ["--user=root"] if os.geteuid() == 0 else []
    command = [
        str(root / database_servers.MARIADB.program),
        "--no-defaults",
        *user,
        f"--datadir={data}",
        f"--basedir={root / 'usr'}",
    ]
    command += [
        f"--lc-messages-dir={share / 'english'}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={folder}",
    ]
    command += ["--innodb-buffer-pool-size=8M", "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=4M"]
    password = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    tables = "\n".join((share / name).read_text() for name in SYSTEM_TABLES)
    # In this mode the server reads one statement up to the end of a line.
    script = f"""CREATE DATABASE mysql;
USE mysql;
{tables}
FLUSH PRIVILEGES;
CREATE DATABASE shop CHARACTER SET utf8mb4;
CREATE USER {OWNER}@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO {OWNER}@'%' WITH GRANT OPTION;
"""
    environment = database_servers.environment(root)
    done = subprocess.run(
        [*command, "--bootstrap"], input=script.encode(), capture_output=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return command

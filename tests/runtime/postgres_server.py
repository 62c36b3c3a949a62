"""PostgreSQL 15 of Debian on loopback."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import adbc_driver_postgresql
from adbc_driver_manager import AdbcConnection, AdbcStatement
from arro3.core import RecordBatchReader

from e2e.cluster import database_servers
from e2e.waiting import wait_until
from tests.runtime.s3_server import free_port

NOBODY = 65534
READY = "ready to accept connections"
OWNER, PASSWORD = "owner", "o'ner\\ s3cret"
FAST = ("fsync=off", "shared_buffers=16MB", "max_connections=20", "max_worker_processes=0", "autovacuum=off")


@dataclass(frozen=True)
class Database:
    """The server, with its folder; `owner` may do everything."""

    port: int
    folder: Path

    def execute(self, *statements: str) -> None:
        """Run statements as the owner, each in a transaction of its own."""
        with self._connect() as connection:
            for text in statements:
                with AdbcStatement(connection) as statement:
                    statement.set_sql_query(text)
                    statement.execute_update()

    def one(self, query: str) -> object:
        """The only value of a query."""
        with self._connect() as connection, AdbcStatement(connection) as statement:
            statement.set_sql_query(query)
            stream, _ = statement.execute_query()
            return RecordBatchReader.from_stream(stream).read_all()[0][0].as_py()

    def _connect(self) -> AdbcConnection:
        password = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        place = f"host=127.0.0.1 port={self.port} dbname=postgres sslmode=disable"
        return AdbcConnection(adbc_driver_postgresql.connect(f"{place} user={OWNER} password='{password}'"))


@contextmanager
def running(certificate: bytes | None = None) -> Iterator[Database]:
    """PostgreSQL on a free port of loopback; `certificate` is its certificate with the key.

    PostgreSQL refuses to run as root, so root runs it as another user in a folder that this user may enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="flywheel-postgres-"))
    root = database_servers.root_of(database_servers.POSTGRESQL)
    user: dict[str, object] = {}
    if os.geteuid() == 0:
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        os.chown(folder, NOBODY, NOBODY)
        if root != Path("/"):  # below a home folder that only root may enter
            root = Path(shutil.copytree(root, folder / "root", symlinks=True))
    try:
        with _serve(folder, root / database_servers.POSTGRESQL.program, root, certificate, user) as port:
            yield Database(port, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _serve(
    folder: Path, program: Path, root: Path, certificate: bytes | None, user: dict[str, object]
) -> Iterator[int]:
    data, password, log, port = folder / "data", folder / "password", folder / "log", free_port()
    password.write_text(PASSWORD)
    environment = database_servers.environment(root)
    shared = {"cwd": folder, "env": environment, **user}
    setup = [program.with_name("initdb"), "-D", data, "-U", OWNER, f"--pwfile={password}", "--auth=scram-sha-256"]
    subprocess.run([*setup, "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"], check=True, capture_output=True, **shared)  # type: ignore[call-overload]
    settings = list(FAST)
    if certificate is not None:
        own = folder / "server.pem"
        own.write_bytes(certificate)
        own.chmod(0o600)
        if user:
            os.chown(own, NOBODY, NOBODY)
        settings += ["ssl=on", f"ssl_cert_file={own}", f"ssl_key_file={own}"]
    command = [program, "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder]
    command += [word for setting in settings for word in ("-c", setting)]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, **shared) as process:  # type: ignore[call-overload]
        try:
            wait_until(lambda: READY in log.read_text() or process.poll() is not None, 60)
            assert process.poll() is None, log.read_text()
            yield port
        finally:
            process.terminate()

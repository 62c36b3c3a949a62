"""A pod whose input is the rows of a database server on loopback."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from tests.runtime.pods import Pod


@dataclass
class SqlPod:
    """`fetch` reads with the login of a Secret's folder."""

    root: Path
    port: int
    engine: str
    database: str
    login: dict[str, str] = field(default_factory=dict)

    def read(self, *, limit: int | None = None, snapshot: Path | None = None, **source: Any) -> "Fetched":
        """Run `fetch`; `source` are fields of the source beside those of the place, `snapshot` is the folder of that input."""
        (self.root / "inputs").mkdir(parents=True)
        if snapshot is not None:
            (self.root / "inputs" / "snapshot").symlink_to(snapshot)
        secret = self.root / "secret"
        secret.mkdir()
        for key, value in self.login.items():
            (secret / key).write_text(value)
        variables = {
            "FLYWHEEL_ROOT": str(self.root),
            "FLYWHEEL_TERMINATION_LOG": str(self.root / "log"),
            "FLYWHEEL_SOURCE_FOLDER": str(secret),
            "FLYWHEEL_PARAMS": "{}",
        }
        place = {
            "engine": self.engine,
            "host": "localhost",
            "port": self.port,
            "database": self.database,
            "tls": "Disabled",
            "timeoutSeconds": 60,
            "secret": "shop-db",
            "allowedHosts": ["localhost"],
        }
        pod = Pod(self.root, variables)
        code = pod.fetch({"name": "source", "sql": place | source}, limit=limit)
        return Fetched(code, pod)


@dataclass(frozen=True)
class Fetched:
    """The exit code of `fetch`, and what it left."""

    code: int
    pod: Pod

    @property
    def failure(self) -> tuple[int, str, str]:
        """Exit code, reason and message."""
        return self.code, str(self.pod.message["reason"]), str(self.pod.message["message"])

    @property
    def files(self) -> dict[str, bytes]:
        return self.pod.files("source")

    def rows(self, query: str = "*") -> list[tuple[Any, ...]]:
        """Columns of all rows."""
        assert self.code == 0, self.failure
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found: list[tuple[Any, ...]] = connection.execute(
                f"SELECT {query} FROM '{self.pod.root}/inputs/source/*.parquet' ORDER BY ALL"
            ).fetchall()
            return found

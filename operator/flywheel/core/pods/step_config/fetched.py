"""Where the inputs of a step come from."""

from typing import Literal

from flywheel.core.pods.step_config.config import StepConfig


class S3Source(StepConfig):
    """One object, or every object below a URI that ends with `/`; `foreign` if Secret `secret` has its credentials."""

    uri: str
    endpoint: str | None = None
    region: str | None = None
    foreign: bool = False
    secret: str | None = None


class HTTPSource(StepConfig):
    """A URL, and the hosts that it and its redirects may name."""

    url: str
    sha256: str
    allowed_hosts: tuple[str, ...] = ()


class SqlIncremental(StepConfig):
    """Rows since the last snapshot, which is the input `snapshot`; all rows where that is older than `full_every_seconds`, or has other `keys`."""

    column: str
    full_every_seconds: int
    keys: tuple[str, ...] = ()


class SqlSource(StepConfig):
    """A table or a query of a database server; Secret `secret` has the login. `ignore`: columns whose values are not read."""

    engine: Literal["PostgreSQL", "MariaDB"]
    host: str
    port: int | None = None
    database: str
    table: str | None = None
    query: str | None = None
    tls: Literal["Verify", "Disabled"]
    timeout_seconds: int
    max_rows: int | None = None
    ignore: tuple[str, ...] = ()
    incremental: SqlIncremental | None = None
    secret: str
    allowed_hosts: tuple[str, ...]


class VolumeSource(StepConfig):
    """A path in the volume that is mounted for the input."""

    path: str


class FolderSource(StepConfig):
    """Objects of the namespace's own folder in the store: those below each of the `parts` of `path`, which end with `/`."""

    path: str
    parts: tuple[str, ...]


class InputConfig(StepConfig):
    """One input, with exactly one source. `files` of an artifact alone are downloaded; empty: all. `optional`: it may be missing in the store."""

    name: str
    artifact: str | None = None
    s3: S3Source | None = None
    http: HTTPSource | None = None
    sql: SqlSource | None = None
    volume: VolumeSource | None = None
    folder: FolderSource | None = None
    sha256: str | None = None
    files: tuple[str, ...] = ()
    optional: bool = False


class FetchConfig(StepConfig):
    """The variable FLYWHEEL_FETCH."""

    limit_bytes: int | None
    inputs: tuple[InputConfig, ...]

"""The configuration of `fetch`, in FLYWHEEL_FETCH."""

from dataclasses import dataclass

from flywheel_runtime.contract.config import load_config
from flywheel_runtime.contract.errors import Failure


@dataclass(frozen=True)
class S3Source:
    """One object, or every object below a URI that ends with `/`. `foreign`: it has credentials of its own, of the Secret `secret`."""

    uri: str
    endpoint: str | None = None
    region: str | None = None
    foreign: bool = False
    secret: str | None = None

    @property
    def bucket(self) -> str:
        """The first part of the URI."""
        return self.uri.removeprefix("s3://").partition("/")[0]

    @property
    def key(self) -> str:
        """All that follows the bucket; empty for a whole bucket."""
        return self.uri.removeprefix("s3://").partition("/")[2]

    @property
    def many(self) -> bool:
        return not self.key or self.key.endswith("/")


@dataclass(frozen=True)
class HTTPSource:
    """A URL, and the hosts that it and its redirects may name."""

    url: str
    sha256: str
    allowed_hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Incremental:
    """Rows since the input `snapshot`, by a column; all rows where that is older than `full_every_seconds`, or has other `keys`."""

    column: str
    full_every_seconds: int
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class SqlSource:
    """The rows of a table or of a query in a database server, which must be one of the hosts. `secret` is the name of its Secret.

    `ignore`: columns that are not read.
    """

    engine: str
    host: str
    database: str
    tls: str
    timeout_seconds: int
    secret: str
    allowed_hosts: tuple[str, ...]
    port: int | None = None
    table: str | None = None
    query: str | None = None
    max_rows: int | None = None
    ignore: tuple[str, ...] = ()
    incremental: Incremental | None = None

    def __post_init__(self) -> None:
        if (self.table is None) == (self.query is None):
            raise ValueError("a sql source has not exactly one of table and query")

    @property
    def verifies(self) -> bool:
        """Whether the server must show a certificate of its host; else the connection is not encrypted."""
        return self.tls != "Disabled"

    @property
    def subject(self) -> str:
        """The rows as the subject of a sentence."""
        return f"table '{self.table}'" if self.table else "the query"


@dataclass(frozen=True)
class VolumeSource:
    """A path in the volume that is mounted for the input."""

    path: str


@dataclass(frozen=True)
class FolderSource:
    """Objects of the namespace's own folder in the store: those below each of the `parts` of `path`, which end with `/`.

    A part without objects is no failure.
    """

    path: str
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        for folder in (self.path, *self.parts):
            if not folder.endswith("/") or any(name in ("", ".", "..") for name in folder[:-1].split("/")):
                raise ValueError(f"folder {folder!r}")


@dataclass(frozen=True)
class Input:
    """One input, with exactly one source: the digest of an artifact, or s3, http, sql, volume or folder.

    `files`: of an artifact, only the files of these paths are downloaded; empty: all of them.
    `optional`: an artifact, or objects, that the store does not have are no failure; the input is absent then.
    """

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

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name or self.name in (".", ".."):
            raise ValueError(f"input name {self.name!r}")
        places = (self.s3, self.http, self.sql, self.volume, self.folder)
        if sum(source is not None for source in (self.artifact, *places)) != 1:
            raise ValueError(f"input '{self.name}' has not exactly one source")


@dataclass(frozen=True)
class FetchConfig:
    """All inputs, and how many bytes they may have together (None: any)."""

    limit_bytes: int | None = None
    inputs: tuple[Input, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "FetchConfig":
        """Raises Failure InternalError, SourceInvalid."""
        config = load_config(cls, "FLYWHEEL_FETCH", text)
        for each in config.inputs:
            if each.s3 is not None and not (each.s3.uri.startswith("s3://") and each.s3.bucket):
                raise Failure("SourceInvalid", f"input '{each.name}': '{each.s3.uri}' is not s3://bucket/key")
        return config

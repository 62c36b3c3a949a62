"""What is known before the first statement is sent: who logs in, and to which address."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flywheel_runtime.commands.fetch.databases.changes import Changes
from flywheel_runtime.contract.config.fetch import SqlSource
from flywheel_runtime.contract.errors import Failure, HostUnknown
from flywheel_runtime.transport.hosts import check_host, resolve_address

CONNECT_SECONDS = 15
FOLDER_VARIABLE = "FLYWHEEL_SOURCE_FOLDER"
# Of Debian's package ca-certificates, which the image has.
PUBLIC_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Session:
    """A source, the address of its server, and the login of its Secret."""

    source: SqlSource
    port: int
    address: str
    username: str
    password: str = field(repr=False)
    authorities: Path
    changes: Changes

    @property
    def place(self) -> str:
        """The server as messages name it."""
        return f"{self.source.engine} at {self.source.host}:{self.port}"

    def add_condition(self, select: str, signature: object, quote: Callable[[str], str]) -> str:
        """The SELECT of rows of `source` for those that the last snapshot does not have; `quote` writes an identifier."""
        bound = self.changes.find_bound(select, (signature, self.username))  # others may see other rows
        if bound is None or self.source.incremental is None:
            return select
        column = f"source.{quote(self.source.incremental.column)}"
        return f"{select} WHERE {column} >= '{bound}' OR {column} IS NULL"

    def mask(self, text: str) -> str:
        """The text on one line, without the password."""
        return " ".join(text.replace(self.password, "***").split())


def prepare_session(source: SqlSource, port: int, env: Mapping[str, str], changes: Changes) -> Session:
    """The session with a server whose usual port is `port`.

    Raises:
        Failure: the host is not allowed or not known, or the Secret lacks a key.
    """
    port = source.port or port
    check_host(source.host, source.allowed_hosts)
    folder = Path(env[FOLDER_VARIABLE])
    username, password = (_read_key(folder, key, source.secret) for key in ("username", "password"))
    own = folder / "ca.crt"
    try:
        # Looked up once: what was checked is what the driver connects to.
        address = resolve_address(source.host, port, source.allowed_hosts)
    except HostUnknown as error:
        words = f"{source.engine} at {source.host} cannot be reached ({error}); correct the source's host or wait until its name is known"
        raise Failure("SourceUnreachable", words, retry=True) from error
    return Session(source, port, address, username, password, own if own.is_file() else PUBLIC_AUTHORITIES, changes)


def _read_key(folder: Path, key: str, secret: str) -> str:
    try:
        value = (folder / key).read_text(encoding="utf-8")
    except FileNotFoundError:
        value = ""
    except (OSError, UnicodeDecodeError) as error:
        words = f"key '{key}' of Secret '{secret}' cannot be read; write it again as UTF-8"
        raise Failure("SourceSecretIncomplete", words, retry=True) from error
    value = value.rstrip("\r\n")  # as editors leave it
    if not value or "\0" in value:
        finding = "holds a zero byte" if value else "is missing or empty"
        raise Failure("SourceSecretIncomplete", f"key '{key}' of Secret '{secret}' {finding}; write it", retry=True)
    return value

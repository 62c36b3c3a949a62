"""What fetch is told: FLYWHEEL_FETCH, parsed."""

import json
from dataclasses import dataclass
from typing import Any

from flywheel_runtime.contract.errors import Failure


@dataclass(frozen=True)
class ArtifactSource:
    digest: str


@dataclass(frozen=True)
class S3Source:
    """One object, or every object below a URI that ends with `/`. `secret` is the name for messages."""

    uri: str
    endpoint: str | None
    region: str | None
    foreign: bool
    secret: str | None

    @property
    def bucket(self) -> str:
        return self.uri.removeprefix("s3://").partition("/")[0]

    @property
    def key(self) -> str:
        return self.uri.removeprefix("s3://").partition("/")[2]

    @property
    def many(self) -> bool:
        return not self.key or self.key.endswith("/")


@dataclass(frozen=True)
class HTTPSource:
    url: str
    allowed_hosts: tuple[str, ...]


@dataclass(frozen=True)
class VolumeSource:
    path: str


@dataclass(frozen=True)
class Input:
    name: str
    source: ArtifactSource | S3Source | HTTPSource | VolumeSource
    sha256: str | None


@dataclass(frozen=True)
class FetchConfig:
    """All inputs, and how many bytes they may have together (None: any)."""

    limit: int | None
    inputs: tuple[Input, ...]

    @classmethod
    def parse(cls, text: str) -> "FetchConfig":
        try:
            body = json.loads(text)
            return cls(body.get("limitBytes"), tuple(_input(entry) for entry in body.get("inputs") or ()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failure("InternalError", f"FLYWHEEL_FETCH cannot be read: {error!r}") from error


def _input(body: dict[str, Any]) -> Input:
    name = str(body["name"])
    if not name or "/" in name or name in (".", ".."):
        raise ValueError(f"input name {name!r}")
    sha256 = body.get("sha256")
    if "artifact" in body:
        return Input(name, ArtifactSource(str(body["artifact"])), None)
    if s3 := body.get("s3"):
        source = S3Source(s3["uri"], s3.get("endpoint"), s3.get("region"), bool(s3.get("foreign")), s3.get("secret"))
        if not source.uri.startswith("s3://") or not source.bucket:
            raise Failure("SourceInvalid", f"input '{name}': '{source.uri}' is not s3://bucket/key")
        return Input(name, source, sha256)
    if http := body.get("http"):
        return Input(name, HTTPSource(str(http["url"]), tuple(http.get("allowedHosts") or ())), str(http["sha256"]))
    return Input(name, VolumeSource(str(body["volume"]["path"])), sha256)

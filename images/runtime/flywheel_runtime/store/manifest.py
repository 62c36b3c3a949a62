"""Manifests: what an artifact consists of, and its digest."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flywheel_runtime.contract.errors import ManifestInvalid

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SHA256 = re.compile(r"[0-9a-f]{64}")
PATH_LIMIT = 1024  # bytes


@dataclass(frozen=True, order=True)
class File:
    """One file of an artifact: relative path with `/`, SHA-256 in hex, size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """The files of an artifact, in the order of their paths."""

    files: tuple[File, ...]

    @classmethod
    def of_files(cls, files: Iterable[File]) -> "Manifest":
        """Sorted and checked; ManifestInvalid for unsafe paths, or one path that is another's folder."""
        manifest = cls(tuple(sorted(files, key=lambda file: file.path)))
        taken: set[str] = set()
        for file in manifest.files:
            check_path(file.path)
            if file.path in taken:
                raise ManifestInvalid(f"path {file.path!r} is there twice")
            taken.add(file.path)
        for path in taken:
            parents = path.split("/")[:-1]
            if any("/".join(parents[: n + 1]) in taken for n in range(len(parents))):
                raise ManifestInvalid(f"a folder of {path!r} is also a file")
        return manifest

    @classmethod
    def parse(cls, text: bytes) -> "Manifest":
        """Only the canonical form is accepted, so one artifact has one digest."""
        try:
            body = json.loads(text)
            files = [File(path=str(f["path"]), sha256=str(f["sha256"]), size=int(f["size"])) for f in body["files"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ManifestInvalid(f"not a manifest: {error}") from error
        manifest = cls.of_files(files)
        if manifest.encode() != text or not all(SHA256.fullmatch(f.sha256) and f.size >= 0 for f in files):
            raise ManifestInvalid("not in canonical form")
        return manifest

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys and paths, no spaces."""
        files: list[dict[str, Any]] = [{"path": f.path, "sha256": f.sha256, "size": f.size} for f in self.files]
        return json.dumps({"files": files, "v": 1}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.encode()).hexdigest()

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def check_path(path: str) -> None:
    """ManifestInvalid unless the path is relative, in its simplest form, and stays below its folder."""
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts) or "\\" in path or "\0" in path:
        raise ManifestInvalid(f"path {path!r} is not a relative path in its simplest form")
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        raise ManifestInvalid(f"path {path!r} is not UTF-8") from None
    if len(raw) > PATH_LIMIT or any(len(part.encode()) > 255 for part in parts):
        raise ManifestInvalid(f"path {path[:80]!r}… is too long")

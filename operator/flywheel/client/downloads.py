"""Files from the reader onto the disk: verified while they arrive, resumed where they stopped, and never outside their folder."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel.client.errors import FlywheelError
from flywheel.client.transport.reader import Reader, file_path, path_of

PARTIAL_SUFFIX = ".partial"
CHUNK_BYTES = 1 << 20
MAX_NAME_BYTES = 200  # of one segment; the suffix of a partial file comes after it
DIGEST = re.compile(r"[0-9a-f]{64}")
Progress = Callable[[int], None]  # is given the number of bytes that arrived


@dataclass(frozen=True)
class RemoteFile:
    """A file of the reader. `target` is its path relative to the folder; `sha256` and `size` are None where nobody knows them, as for a log."""

    path: str
    target: str
    sha256: str | None = None
    size: int | None = None
    query: tuple[tuple[str, str], ...] = ()


def remote_file(path: str, entry: Mapping[str, Any], query: tuple[tuple[str, str], ...] = ()) -> RemoteFile:
    """Returns the file of an entry of a manifest: `path`, `sha256`, `size`.

    Raises:
        FlywheelError: the entry has no SHA-256, without which its bytes cannot be verified.
    """
    digest = str(entry.get("sha256") or "").removeprefix("sha256:")
    if not DIGEST.fullmatch(digest):
        raise FlywheelError(
            f"the reader gave no SHA-256 of '{entry.get('path')}'; nothing was written", reason="Unverified"
        )
    size = entry.get("size")
    return RemoteFile(path, str(entry["path"]), digest, size if isinstance(size, int) else None, query)


def list_files(
    reader: Reader, base: Sequence[str], digest: str, owner: str, listed_at: Sequence[str] = ()
) -> list[RemoteFile]:
    """Returns the files of an artifact, which are below `base/files`, and whose list is at `base`, or `listed_at` below it. The list has that digest.

    Raises:
        FlywheelError: the list has another digest.
    """
    entries: list[Mapping[str, Any]] = reader.get_json(path_of(*base, *listed_at)).get("files") or []
    check_manifest(entries, digest, owner)
    return [remote_file(file_path(*base, "files", file=str(each["path"])), each) for each in entries]


def check_manifest(entries: Sequence[Mapping[str, Any]], digest: str, owner: str) -> None:
    """Checks that a list of files is the one with this digest: the SHA-256 of its canonical JSON is the artifact's digest.

    Raises:
        FlywheelError: it is another list.
    """
    files = sorted(
        ({key: each.get(key) for key in ("path", "sha256", "size")} for each in entries),
        key=lambda each: str(each["path"]),
    )
    text = json.dumps({"files": files, "v": 1}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" != digest:
        raise FlywheelError(
            f"the list of files of {owner} does not have the digest {digest} that its status states; nothing was read",
            reason="DigestMismatch",
        )


def save_files(
    reader: Reader,
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    force: bool = False,
    progress: Progress = lambda _size: None,
) -> list[Path]:
    """Writes the files below a folder and returns their paths. All targets are checked before the first byte is requested.

    Raises:
        FlywheelError: a name leaves the folder, a file exists with other content and `force` is not set, or bytes do not have their SHA-256.
    """
    targets = [confine(folder, each.target) for each in files]
    if len(set(targets)) < len(targets):
        raise FlywheelError("the reader named a file twice; nothing was written", reason="BadName")
    missing = [
        (each, target)
        for each, target in zip(files, targets, strict=True)
        if not _is_complete(each, target, force=force)
    ]
    for each, target in missing:
        target.parent.mkdir(parents=True, exist_ok=True)
        _save(reader, each, target, _partial_file(target, targets), progress)
    return targets


def read_verified(reader: Reader, file: RemoteFile) -> bytes:
    """Returns the bytes of a file in memory.

    Raises:
        FlywheelError: they do not have their SHA-256.
    """
    found = bytearray()
    with reader.download(file.path, file.query) as download:
        for chunk in download.chunks:
            found += chunk
            if file.size is not None and len(found) > file.size:
                raise _mismatch(file)
    if hashlib.sha256(found).hexdigest() != file.sha256:
        raise _mismatch(file)
    return bytes(found)


def confine(folder: Path, name: str) -> Path:
    """Returns the path of a file below the folder.

    Raises:
        FlywheelError: the name could lead out of it, or a part of the path is a link.
    """
    segments = name.split("/")
    unusual = any(
        each in ("", ".", "..")
        or "\\" in each
        or ":" in each
        or not each.isprintable()
        or len(each.encode()) > MAX_NAME_BYTES
        for each in segments
    )
    if unusual:
        raise FlywheelError(
            f"the reader named a file {name!r}, which is not written; nothing was written", reason="BadName"
        )
    path = folder
    for each in segments:
        path = path / each
        if path.is_symlink():
            raise FlywheelError(f"'{path}' is a link; remove it, or choose another folder", reason="TargetIsLink")
    return path


def _is_complete(file: RemoteFile, target: Path, *, force: bool) -> bool:
    """Returns whether nothing is to do."""
    if not target.exists():
        return False
    if file.sha256 is not None and target.is_file() and _hash_file(target).hexdigest() == file.sha256:
        return True
    if target.is_dir() or not force:
        raise FlywheelError(
            f"'{target}' exists with other content; --force (force=True) overwrites it", reason="TargetExists"
        )
    return False


def _partial_file(target: Path, targets: Sequence[Path]) -> Path:
    """Returns where a file is written until it is verified: beside it, and never another file of the same download."""
    partial = target.with_name(target.name + PARTIAL_SUFFIX)
    return _partial_file(partial, targets) if partial in targets else partial


def _save(reader: Reader, file: RemoteFile, target: Path, partial: Path, progress: Progress) -> None:
    """Writes to a partial file beside the target, from where an earlier download stopped, and renames it once it is verified."""
    if partial.is_symlink():
        raise FlywheelError(f"'{partial}' is a link; remove it, or choose another folder", reason="TargetIsLink")
    resumable = file.sha256 is not None and partial.is_file() and 0 < partial.stat().st_size < (file.size or 0)
    start = partial.stat().st_size if resumable else 0
    digest = _hash_file(partial) if resumable else hashlib.sha256()
    with reader.download(file.path, file.query, start) as download:
        if download.start != start:
            digest = hashlib.sha256()
        received = download.start
        with partial.open("ab" if download.start else "wb") as stream:
            for chunk in download.chunks:
                received += len(chunk)
                if file.size is not None and received > file.size:
                    break
                digest.update(chunk)
                stream.write(chunk)
                progress(len(chunk))
    if file.sha256 is not None and digest.hexdigest() != file.sha256:
        partial.unlink()
        raise _mismatch(file)
    partial.replace(target)


def _hash_file(path: Path) -> "hashlib._Hash":
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256")


def _mismatch(file: RemoteFile) -> FlywheelError:
    return FlywheelError(
        f"'{file.target}' does not have the SHA-256 {file.sha256} that its artifact states; it was not kept; download it again, "
        "and if that repeats, the store's object is damaged",
        reason="DigestMismatch",
    )

"""Writing one file as a blob: its SHA-256 first, then the bytes, if they are not there yet."""

import hashlib
import os
from contextlib import suppress
from io import BufferedReader
from pathlib import Path

from flywheel_runtime.contract.errors import FileChanged, StoreError
from flywheel_runtime.contract.safe_files import ConfinedPath, open_regular_file
from flywheel_runtime.store.manifest import File
from flywheel_runtime.store.retry import Retry
from flywheel_runtime.store.s3 import Bucket

PART_BYTES = 8 << 20  # bytes: what one upload holds in memory; S3 wants at least 5 MiB
MAX_PARTS = 9_000  # S3 allows 10,000


def upload(bucket: Bucket, root: str, path: Path | ConfinedPath, name: str, retry: Retry) -> File:
    """Put a file's bytes at `<root>/blobs/sha256/…` unless they are there; its line of the manifest, under `name`.

    Large files are read twice, hashed both times, and never held in memory.
    """
    with open_regular_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= PART_BYTES:
            body = file.read()
            line = File(name, hashlib.sha256(body).hexdigest(), len(body))
            key = blob_key(root, line.sha256)
            if not retry.call(lambda: bucket.exists(key, line.size)):
                retry.call(lambda: bucket.put(key, body))
            return line
        line = File(name, hashlib.file_digest(file, "sha256").hexdigest(), size)
        key = blob_key(root, line.sha256)
        if not retry.call(lambda: bucket.exists(key, line.size)):
            file.seek(0)
            _put_parts(bucket, key, file, line, retry)
        return line


def put_file(bucket: Bucket, key: str, path: Path, retry: Retry) -> File:
    """Put a file's bytes at a key of the caller's choice, whatever is there; its name, SHA-256 and size."""
    with open_regular_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        line = File(path.name, hashlib.file_digest(file, "sha256").hexdigest(), size)
        file.seek(0)
        if size <= PART_BYTES:
            body = file.read()
            retry.call(lambda: bucket.put(key, body))
        else:
            _put_parts(bucket, key, file, line, retry)
        return line


def blob_key(root: str, sha256: str) -> str:
    return f"{root}blobs/sha256/{sha256[:2]}/{sha256}"


def _put_parts(bucket: Bucket, key: str, file: BufferedReader, line: File, retry: Retry) -> None:
    part = max(PART_BYTES, -(-line.size // MAX_PARTS))
    upload_id = retry.call(lambda: bucket.create_multipart(key))
    try:
        digest, etags = hashlib.sha256(), list[str]()
        while body := file.read(part):
            digest.update(body)
            number, content = len(etags) + 1, body
            etags.append(retry.call(lambda: bucket.upload_part(key, upload_id, number, content)))  # noqa: B023 called at once
        _check_same(digest.hexdigest(), line)
        retry.call(lambda: _finish(bucket, key, upload_id, etags, line.size))
    except BaseException:
        with suppress(StoreError):
            bucket.abort_multipart(key, upload_id)
        raise


def _check_same(sha256: str, line: File) -> None:
    if sha256 != line.sha256:
        raise FileChanged(line.path)


def _finish(bucket: Bucket, key: str, upload_id: str, etags: list[str], size: int) -> None:
    try:
        bucket.complete_multipart(key, upload_id, etags)
    except StoreError as error:
        # An earlier try was done, and only its answer was lost.
        if not (error.code == "NoSuchUpload" and bucket.exists(key, size)):
            raise

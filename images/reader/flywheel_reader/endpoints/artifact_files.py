"""Files of artifacts as responses."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.responses import bytes_response
from flywheel_reader.store.manifests import File

OCTETS = "application/octet-stream"


def describe_files(files: Mapping[str, File]) -> list[dict[str, Any]]:
    """All lines of a manifest, so that who reads them can verify the artifact's digest."""
    return [describe_file(file) for file in files.values()]


def describe_file(file: File) -> dict[str, Any]:
    """One line of a manifest."""
    return {"path": file.path, "size": file.size, "sha256": file.sha256}


def select_files(files: Mapping[str, File], names: Iterable[str]) -> dict[str, File]:
    """Those of the files that have one of the names."""
    wanted = frozenset(names)
    return {path: file for path, file in files.items() if path in wanted}


async def file_response(
    call: Call, file: File, media_type: str = OCTETS, headers: Mapping[str, str] | None = None
) -> Response:
    """The bytes of a file, with its SHA-256 as ETag; never shown by a browser as a page of the reader. `headers` replace the usual ones."""
    artifacts = call.store().artifacts

    def open_stream(start: int, end: int) -> AsyncIterator[bytes]:
        return artifacts.stream(file, start, end)

    further = {"Content-Disposition": "attachment"} if media_type == OCTETS else headers
    return await bytes_response(call.headers, file.size, f'"{file.sha256}"', media_type, open_stream, further)

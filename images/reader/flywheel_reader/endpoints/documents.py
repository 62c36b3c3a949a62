"""JSON documents in artifacts, of which a response shows a part."""

from typing import Any

from flywheel_reader.call import Call
from flywheel_reader.errors import StoredDataInvalid
from flywheel_reader.store.json_documents import parse_json_in_worker
from flywheel_reader.store.manifests import File

MAX_DOCUMENT_BYTES = 8 << 20
MAX_DOCUMENT_VALUES = 200_000


async def read_document(call: Call, file: File) -> dict[str, Any]:
    """The object in a file. Raises TooLarge, NotFound, StoredDataInvalid, StoreUnreachable."""
    async with call.heavy_slot():
        content = await call.store().artifacts.read(file, MAX_DOCUMENT_BYTES)
        try:
            document = await parse_json_in_worker(content, MAX_DOCUMENT_VALUES)
        except ValueError as error:
            raise StoredDataInvalid(f"'{file.path}' is no JSON; restore the store from a backup") from error
    if not isinstance(document, dict):
        raise StoredDataInvalid(f"'{file.path}' is no JSON object; restore the store from a backup")
    return document

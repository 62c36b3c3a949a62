"""The output's manifest, written last: only what it names counts. Its name begins with `_`, as readers of folders of tables expect of
whatever is no table.

    <output>/part-00000-3f9a1c2e88b2.parquet     predictions
    <output>/_errors/part-00000-3f9a1c2e88b2.jsonl     rows that could not be scored, and why
    <output>/_manifest.json     {"v", "plan", "model", "rows", "errors", "columns", "files": [{"path", "sha256", "size", "rows"}], "errorFiles"}
"""

import contextlib
import json
from typing import Any

from flywheel_runtime.commands.batch.storage.locations import Folder
from flywheel_runtime.contract.errors import AccessDenied, Failure, ObjectMissing, PreconditionFailed

NAME, PROBE = "_manifest.json", "_flywheel-probe"
LIMIT = 16 << 20  # bytes


def uri(output: Folder) -> str:
    """Where it is."""
    return output.place.uri + NAME


def probe(output: Folder) -> None:
    """Failure OutputRefused before the work rather than after it, if nothing can be written."""
    key = output.place.key + PROBE
    with output.translate_errors():
        try:
            output.retry.call(lambda: output.bucket.put(key, b""))
        except AccessDenied as error:
            words = f"nothing can be written to '{output.place.uri}' with the credentials in {output.owner.secret} ({error.code})"
            raise Failure("OutputRefused", f"{words}; let them write there", retry=True) from error
        # Who may write and not delete leaves an empty file, which no reader takes for a table.
        with contextlib.suppress(AccessDenied):
            output.retry.call(lambda: output.bucket.delete(key))


def present(output: Folder) -> dict[str, Any] | None:
    """The manifest that is there. Failure OutputExists where something else has its name."""
    with output.translate_errors():
        try:
            text = output.retry.call(lambda: output.bucket.get(output.place.key + NAME, limit=LIMIT))
        except ObjectMissing:
            return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        words = f"'{uri(output)}' is no manifest of a BatchInference"
        raise Failure("OutputExists", f"{words}; remove it or choose another spec.output.s3.uri")
    return found


def commit(output: Folder, document: dict[str, Any], *, overwrite: bool) -> None:
    """Make the output count. What an overwritten manifest named and this one does not is removed. Failure OutputExists."""
    before = present(output) if overwrite else None
    body = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    key = output.place.key + NAME
    with output.translate_errors():
        try:
            output.retry.call(lambda: output.bucket.put(key, body, only_new=not overwrite))
        except PreconditionFailed as error:
            held = present(output) or {}
            if held.get("plan") != document["plan"]:
                words = f"somebody else has written '{uri(output)}' meanwhile"
                raise Failure("OutputExists", f"{words}; choose another spec.output.s3.uri") from error
        for path in sorted(_paths(before or {}) - _paths(document)):
            output.retry.call(lambda: output.bucket.delete(output.place.key + path))  # noqa: B023 called at once


def _paths(document: dict[str, Any]) -> set[str]:
    return {str(each["path"]) for sort in ("files", "errorFiles") for each in document.get(sort) or ()}

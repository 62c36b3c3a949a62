"""The check of a receipt without the cluster: what holds, what does not, and what no file alone can show."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel.client.downloads import check_manifest
from flywheel.client.errors import FlywheelError
from flywheel.client.receipts.assembly import answer_again
from flywheel.client.receipts.audit_chain import Record, chain_faults, records_of
from flywheel.client.receipts.audit_comparison import State, compare_with_records
from flywheel.client.receipts.document import Receipt, ReceiptFile
from flywheel.client.receipts.recomputation import DIFFERS, EQUAL, FILES, MODEL_FILE, NOT_REPLAYED, lacking_inputs

NO_SIGNATURE = (
    "A receipt has no signature: that its parts belong together does not show who wrote it. Its audit records are the cluster's if the Model's "
    "status.audit, or a digest that you kept (--head), is that of one of them; then they prove the version's artifact, and the gates and the "
    "approval that hold above. They prove nothing of the row: who has a receipt can write other inputs into it, the model's answer to them, "
    "and all digests anew, and every check of this file holds."
)


@dataclass(frozen=True)
class Finding:
    """One check. Open: it was not made, and the sentence says what it needs."""

    state: State
    sentence: str


def check_receipt(file: ReceiptFile, *, model: Path | None = None, head: str | None = None) -> list[Finding]:
    """Checks a receipt by itself, and with the artifact's folder or its model.onnx, and with the SHA-256 of an audit record that was kept."""
    receipt = file.receipt
    findings = [Finding("Fails", each) for each in file.changes]
    if not file.changes:
        findings.append(
            Finding("Holds", "no part was changed since the receipt was written: all have the digests that it states")
        )
    checks = (_check_row(receipt), _check_version(receipt), _check_audit(receipt, head), _check_model(receipt, model))
    for check in checks:
        try:
            findings += check
        except (TypeError, AttributeError, KeyError, ValueError, IndexError):
            findings.append(Finding("Fails", "a part of the receipt has a form that 'flywheel why' does not write"))
    return findings


def _check_row(receipt: Receipt) -> Iterator[Finding]:
    part = receipt.prediction
    yield Finding(
        "Open",
        f"whether InferenceService '{part.get('service')}' was asked this, and gave this answer: no audit record has a row. While the log has it, "
        f"'flywheel why {part.get('id')} --service {part.get('service')}' shows it again",
    )
    if part.get("ambiguous"):
        yield Finding("Open", f"whether this is the request that you mean: {part['ambiguous']}")


def _check_version(receipt: Receipt) -> Iterator[Finding]:
    version, logged = receipt.version, receipt.prediction.get("digest")
    digest = version.get("digest")
    if logged and logged != digest:
        yield Finding("Fails", f"the row was answered by {logged}, and the part 'version' is of {digest}")
    files = version.get("files")
    if not isinstance(files, list) or not files:
        yield Finding("Open", f"the files of the version are not in the receipt: {_why(version)}")
        return
    try:
        check_manifest(files, str(digest), "the receipt")
    except (FlywheelError, AttributeError):
        yield Finding("Fails", f"the list of files does not have the version's digest {digest}")
    else:
        yield Finding(
            "Holds", f"the list of {len(files)} files has the digest {digest} of ModelVersion '{version.get('name')}'"
        )


def _check_audit(receipt: Receipt, head: str | None) -> Iterator[Finding]:
    part, version = receipt.audit, receipt.version
    texts = part.get("records")
    records = [Record(str(each)) for each in texts] if isinstance(texts, list) else []
    if not records:
        yield Finding("Open", f"there are no audit records in the receipt: {_why(part)}")
        return
    model, last = str(part.get("model")), records[-1]
    faults = list(chain_faults(records, model))
    yield from (Finding("Fails", each) for each in faults)
    if not faults:
        yield Finding("Holds", f"the audit records {records[0].number} to {last.number} of Model '{model}' are a chain")
    named = records_of(records, str(version.get("name")))
    others = [each for each in named if each.body.get("digest") not in (None, version.get("digest"))]
    if others:
        yield Finding(
            "Fails", f"audit record {others[0].number} is of another artifact, {others[0].body.get('digest')}"
        )
    elif named:
        events = ", ".join(f"{each.body.get('event')} ({each.number})" for each in named)
        yield Finding("Holds", f"they name ModelVersion '{version.get('name')}': {events}")
    yield from (Finding(*each) for each in compare_with_records(version, named))
    yield from _check_heads(part, records, head)


def _check_heads(part: Mapping[str, Any], records: list[Record], head: str | None) -> Iterator[Finding]:
    by_number = {each.number: each.sha256 for each in records}
    stated, last = part.get("stated") or {}, records[-1]
    if stated and stated.get("number") in by_number:
        same = by_number[stated["number"]] == stated.get("sha256")
        words = "has the digest" if same else "does not have the digest"
        yield Finding(
            "Holds" if same else "Fails",
            f"audit record {stated['number']} {words} that the Model stated when the receipt was written",
        )
    if head is None:
        yield Finding(
            "Open",
            f"whether they are the cluster's: its Model must state, or you must have kept, record {last.number} with SHA-256 {last.sha256}",
        )
        return
    kept = next((each for each in records if each.sha256 == head.removeprefix("sha256:").lower()), None)
    if kept is None:
        yield Finding(
            "Fails",
            f"none of the audit records {records[0].number} to {last.number} has the SHA-256 {head} that you kept",
        )
    else:
        yield Finding(
            "Holds", f"audit record {kept.number} has the SHA-256 that you kept; all before it are as they were then"
        )


def _check_model(receipt: Receipt, model: Path | None) -> Iterator[Finding]:
    if model is None:
        yield Finding(
            "Open",
            "whether the stored model gives this answer: give its files with --model, as 'flywheel download version' writes them",
        )
        return
    folder = model if model.is_dir() else model.parent
    entries = {str(each.get("path")): each for each in receipt.version.get("files") or () if isinstance(each, Mapping)}
    if MODEL_FILE not in entries:
        yield Finding(
            "Open", f"the digest of {MODEL_FILE} is not in the receipt, so '{model}' cannot be compared with it"
        )
        return
    if (model.is_file() and model.name != MODEL_FILE) or not (folder / MODEL_FILE).is_file():
        yield Finding(
            "Fails",
            f"'{model}' is no folder with {MODEL_FILE}, and not that file; give what 'flywheel download version' writes",
        )
        return
    wrong = [
        name
        for name in FILES
        if name in entries and (folder / name).is_file() and _sha256(folder / name) != entries[name].get("sha256")
    ]
    if wrong:
        yield Finding(
            "Fails",
            f"'{folder / wrong[0]}' is another file than that of the version, whose SHA-256 is {entries[wrong[0]].get('sha256')}",
        )
        return
    yield Finding("Holds", f"'{folder / MODEL_FILE}' is the model of the version")
    yield _check_answer(receipt, folder)


def _check_answer(receipt: Receipt, folder: Path) -> Finding:
    part = receipt.prediction
    rules = part.get("columns") or {}
    lacking = lacking_inputs(part.get("features") or {}, rules, _input_names(folder))
    if lacking:
        return Finding(
            "Open",
            f"the row was not answered again: columns that the model reads are not in the log: {', '.join(lacking)}",
        )
    found, _ = answer_again(
        {"features": part.get("features") or {}, "outputs": part.get("outputs") or {}}, rules, folder
    )
    if found["result"] == NOT_REPLAYED:
        return Finding("Open", f"the row was not answered again: {found['reason']}")
    if found["result"] == DIFFERS:
        return Finding("Holds" if found["isWithinTolerance"] else "Fails", describe_replay(found))
    return Finding("Holds", describe_replay(found))


def describe_replay(found: Mapping[str, Any]) -> str:
    """Returns the part `replay` in words."""
    if found["result"] == EQUAL:
        return f"the model gives the same answer, bit for bit: {', '.join(found['compared'])}"
    largest = found["largest"]
    apart = f", {largest['difference']:.3g} apart" if largest.get("difference") is not None else ""
    more = f"; {found['differing']} values differ" if found["differing"] > 1 else ""
    told = f"{largest['column']} is {largest['logged']} in the log, and {largest['computed']} now{apart}{more}"
    if found["isWithinTolerance"]:
        return f"the model gives the same answer but for rounding, as on another processor or release of onnxruntime: {told}"
    return f"the model gives another answer: {told}"


def _input_names(folder: Path) -> list[str] | None:
    try:
        return [str(each["name"]) for each in json.loads((folder / "signature.json").read_bytes())["inputs"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _why(part: Mapping[str, Any]) -> str:
    return str(part.get("missing") or next(iter(part.get("notes") or ()), "nothing says why"))

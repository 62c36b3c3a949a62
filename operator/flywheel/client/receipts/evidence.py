"""What the reader and the API server know of one prediction, with the caller's rights; what they may not read is said."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from flywheel.client.downloads import RemoteFile, check_manifest, remote_file
from flywheel.client.errors import FlywheelError
from flywheel.client.receipts.audit_chain import Record, records_of
from flywheel.client.transport.reader import file_path, path_of
from flywheel.core.resource.api import INFERENCE_SERVICE, MODEL, MODEL_VERSION, Manifest

if TYPE_CHECKING:
    from flywheel.client.session import Session

MAX_RECORDS = 2000  # of an audit chain, from its end back
REFUSED = (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED)
ROW_FIELDS = ("time", "version", "digest", "route", "latency_seconds", "key")
VERSION_STATUS = ("verifiedAt", "approval", "rejection")
T = TypeVar("T")
GATE_FIELDS = ("name", "passed", "measured", "message")


@dataclass(frozen=True)
class Prediction:
    """A logged row, and the rules by which the log holds back columns."""

    service: str
    part: Mapping[str, Any]

    @property
    def rules(self) -> Mapping[str, Mapping[str, Any]]:
        """By column: `action` (Drop, Hmac, Bucket) and `width`."""
        found = self.part.get("columns")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Artifact:
    """The part `version` of a receipt, with the files of its artifact where the caller may read their list."""

    part: dict[str, Any]
    files: Sequence[RemoteFile] = field(default=())


def find_prediction(
    session: "Session", id_: str, *, service: str | None, row: int, around: datetime | None
) -> Prediction:
    """Finds the row of a prediction in the log of a service, or of all services of the namespace that have one.

    Raises:
        FlywheelError: there is none, or the caller may not read it.
    """
    if not id_.strip():
        raise FlywheelError("the id of a prediction is empty; it is 'id' in the service's response", reason="BadName")
    services = _services(session, service)
    query = [("id", id_), *([("around", around.isoformat())] if around is not None else [])]
    refusals: list[FlywheelError] = []
    answers: dict[str, Mapping[str, Any]] = {}
    for name in services:
        path = path_of(session.namespace, "inferenceservices", name, "prediction")
        try:
            answers[name] = session.reader.get_json(path, query)
        except FlywheelError as error:
            if error.status not in (HTTPStatus.NOT_FOUND, *REFUSED):
                raise
            refusals.append(error)
    if not answers:
        raise _not_found(session, id_, services, refusals)
    if len(answers) > 1:
        raise FlywheelError(
            f"the InferenceServices {', '.join(answers)} have a request '{id_[:200]}' each; name the one that you mean with --service (service=)",
            reason="Ambiguous",
        )
    [(name, found)] = answers.items()
    return Prediction(name, _prediction_part(session, name, id_, row, found, services[name]))


def find_version(session: "Session", prediction: Prediction) -> Artifact:
    """Returns the version that gave the answer: its gates and approval, and the files of its artifact."""
    row, notes = prediction.part, list[str]()
    name, logged = str(row.get("version")), row.get("digest") or None
    base = {"name": name, **({"digest": logged} if logged else {})}
    manifest = _read(lambda: session.require(MODEL_VERSION, name), f"ModelVersion '{name}'", notes)
    if manifest is None:
        return Artifact({**base, "missing": notes[0]})
    stated = (manifest.get("status") or {}).get("digest")
    part = {**base, "digest": logged or stated, **_describe_version(manifest)}
    if part["digest"] != stated:
        note = f"ModelVersion '{name}' is another artifact now, {stated}, than the one that answered"
        return Artifact({**part, "notes": [note]})
    listed = _read(lambda: _list_files(session, name, str(stated)), f"the files of ModelVersion '{name}'", notes)
    entries = [dict(each) for each in listed or ()]
    files = [
        remote_file(file_path(session.namespace, "modelversions", name, "files", file=str(each["path"])), each)
        for each in entries
    ]
    part["files"] = [_pick(each, ("path", "size", "sha256")) for each in entries]
    return Artifact({**part, **({"notes": notes} if notes else {})}, files)


def _describe_version(manifest: Manifest) -> dict[str, Any]:
    """Returns the version's Model, gates and approval."""
    status = manifest.get("status") or {}
    gates = status.get("gates") or {}
    return {
        "model": (manifest.get("spec") or {}).get("model"),
        "createdAt": manifest["metadata"].get("creationTimestamp"),
        **{key: status[key] for key in VERSION_STATUS if status.get(key)},
        "gates": [_pick(each, GATE_FIELDS) for each in gates.get("entries") or ()],
        "gatesMeasuredAt": gates.get("at"),
    }


def find_audit(session: "Session", version: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the audit records of the version's Model from the first one that names the version to the newest, and what the Model states."""
    model, name = version.get("model"), str(version.get("name"))
    if not isinstance(model, str):
        return {"missing": "the Model of the version is not known, so its audit records were not read"}
    notes: list[str] = []
    records = _read(lambda: _list_records(session, model, name), f"the audit records of Model '{model}'", notes)
    if records is None:
        return {"model": model, "missing": notes[0]}
    manifest = _read(lambda: session.require(MODEL, model), f"Model '{model}'", notes)
    stated = _pick((((manifest or {}).get("status") or {}).get("audit")) or {}, ("number", "sha256"))
    head = {"number": records[-1].number, "sha256": records[-1].sha256} if records else {}
    part = {"model": model, "records": [each.text for each in records], "head": head, "stated": stated}
    if not records:
        notes.append(f"no audit record of Model '{model}' names ModelVersion '{name}'")
    return {**part, **({"notes": notes} if notes else {})}


def sample_position(id_: str) -> float:
    """Returns where an id stands in the sample: its rows are logged if this is below `spec.logging.sample` (images/README.md)."""
    return float(int.from_bytes(hashlib.sha256(id_.encode()).digest()[:8], "big") / 2**64)


def _services(session: "Session", service: str | None) -> dict[str, Manifest | None]:
    """Returns the services to ask, by name; a service that was deleted, or that the caller may not get, has rows still."""
    if service is not None:
        return {service: _read(lambda: session.require(INFERENCE_SERVICE, service), "", [])}
    try:
        listed = session.list_objects(INFERENCE_SERVICE)
    except FlywheelError as error:
        raise FlywheelError(
            f"{error.message}; name the service with --service (service=)", reason=error.reason, status=error.status
        ) from None
    logging = {str(each["metadata"]["name"]): each for each in listed if (each.get("spec") or {}).get("logging")}
    if not logging:
        raise FlywheelError(
            f"no InferenceService of namespace '{session.namespace}' logs predictions; spec.logging turns it on. "
            "The rows of one that was deleted are found with --service (service=)",
            reason="NotFound",
            status=HTTPStatus.NOT_FOUND,
        )
    return dict(logging)


def _prediction_part(
    session: "Session", service: str, id_: str, number: int, found: Mapping[str, Any], manifest: Manifest | None
) -> dict[str, Any]:
    rows = [each for each in found.get("items") or () if each.get("row", 0) == number]
    if not rows:
        count = len(found.get("items") or ())
        raise FlywheelError(
            f"the request '{id_}' has {count} rows, from 0 on, and no row {number}; --row (row=) chooses one",
            reason="NotFound",
            status=404,
        )
    row, notes = max(rows, key=lambda each: str(each.get("time"))), []
    ambiguous = _ambiguity(len(rows), found)
    rules = found.get("columns")
    if rules is None:
        given = ((manifest or {}).get("spec") or {}).get("logging")
        rules = {each["name"]: _pick(each, ("action", "width")) for each in (given or {}).get("columns") or ()}
        notes.append(
            "the file does not say which columns the log drops, hashes or buckets; "
            + ("those of spec.logging now are taken" if given else "none are taken")
        )
    return {
        "namespace": session.namespace,
        "service": service,
        "id": id_,
        "row": number,
        "rows": len(found["items"]),
        "file": found.get("file"),
        "searchedFiles": (found.get("searched") or {}).get("files"),
        **{key: row.get(key) for key in ROW_FIELDS if row.get(key) is not None},
        "features": row.get("features") or {},
        "outputs": row.get("outputs") or {},
        "columns": rules,
        **({"ambiguous": ambiguous} if ambiguous else {}),
        **({"explanation": row["explanation"]} if row.get("explanation") else {}),
        **({"notes": notes} if notes else {}),
    }


def _ambiguity(same: int, found: Mapping[str, Any]) -> str | None:
    """Returns why the row may be of another request than the one that is meant, None where no other one has its id."""
    others, searched = found.get("others") or (), found.get("searched") or {}
    this = (
        f"this is the newest one of file {found.get('file')}"
        if same > 1
        else f"this is the one of file {found.get('file')}"
    )
    if others:
        files = ", ".join(str(each.get("file")) for each in others[:3])
        more = f" and {len(others) - 3} others" if len(others) > 3 else ""
        return f"requests in {1 + len(others)} files have this id, since clients choose ids; {this}, and others are in {files}{more}; --around (around=) with the minute chooses the nearest file"
    if same > 1:
        return f"{same} requests have this id, since a client chose it for all of them; {this}"
    if searched.get("isComplete") is False:
        return f"the search ended after {searched.get('files')} files, so that others may have this id too; {this}"
    return None


def _not_found(
    session: "Session", id_: str, services: Mapping[str, Manifest | None], refusals: Sequence[FlywheelError]
) -> FlywheelError:
    """Returns the error with the reason: outside of the sample, not readable, or nowhere in what was searched."""
    sentences = []
    for (name, manifest), refusal in zip(services.items(), refusals, strict=True):
        share = _share((((manifest or {}).get("spec") or {}).get("logging") or {}).get("sample"))
        if refusal.status == HTTPStatus.NOT_FOUND and share is not None and sample_position(id_) >= share:
            sentences.append(
                f"the prediction is outside of the sample of InferenceService '{name}': spec.logging.sample is {share:.6g}, and the id "
                f"'{id_[:200]}' stands at {sample_position(id_):.4f} of 1, so its row is not logged while that sample holds"
            )
        elif refusal.status in REFUSED:
            sentences.append(f"you may not read the predictions of InferenceService '{name}': {refusal.message}")
        else:
            sentences.append(refusal.message)
    status = HTTPStatus.FORBIDDEN if all(each.status in REFUSED for each in refusals) else HTTPStatus.NOT_FOUND
    return FlywheelError(
        "; ".join(sentences), reason="Forbidden" if status == HTTPStatus.FORBIDDEN else "NotFound", status=status
    )


def _share(sample: Any) -> float | None:
    """Returns a share such as "10%" or 0.1 as a number."""
    try:
        text = str(sample)
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def _list_files(session: "Session", version: str, digest: str) -> list[Mapping[str, Any]]:
    entries: list[Mapping[str, Any]] = (
        session.reader.get_json(path_of(session.namespace, "modelversions", version)).get("files") or []
    )
    check_manifest(entries, digest, f"ModelVersion '{version}'")
    return entries


def _list_records(session: "Session", model: str, version: str) -> list[Record]:
    """Returns the records from the first one that names the version on, oldest first; of a long chain at most its last MAX_RECORDS."""
    found: list[Record] = []
    before: int | None = None
    while len(found) < MAX_RECORDS:
        query = [("before", str(before))] if before is not None else []
        page = session.reader.get_json(path_of(session.namespace, "models", model, "audit"), query)
        found += [Record(str(each["text"])) for each in page.get("items") or ()]
        if any(each.body.get("event") == "Verified" for each in records_of(found, version)) or page.get("next") is None:
            break
        before = int(page["next"])
    oldest_first = found[::-1]
    first = next(
        (place for place, each in enumerate(oldest_first) if each.body.get("version") == version), len(oldest_first)
    )
    return oldest_first[first:]


def _read(request: Callable[[], T], what: str, notes: list[str]) -> T | None:
    """Returns what a request finds, None where it does not exist or may not be read, which `notes` then say."""
    try:
        return request()
    except FlywheelError as error:
        if error.status in REFUSED:
            notes.append(f"you may not read {what}: {error.message}")
        elif error.status == HTTPStatus.NOT_FOUND:
            notes.append(error.message)
        else:
            raise
        return None


def _pick(value: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: value[key] for key in keys if value.get(key) is not None}

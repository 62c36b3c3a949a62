"""The receipt of one prediction: evidence, the answer of the stored model, and the contributions."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flywheel.client.downloads import read_verified
from flywheel.client.errors import FlywheelError
from flywheel.client.receipts import recomputation
from flywheel.client.receipts.document import Receipt
from flywheel.client.receipts.evidence import REFUSED, Artifact, Prediction, find_audit, find_prediction, find_version
from flywheel.client.receipts.recomputation import MODEL_FILE, NOT_REPLAYED, SIGNATURE_FILE, NotReplayed
from flywheel.core.resource.values import format_time

if TYPE_CHECKING:
    from flywheel.client.session import Session


def make_receipt(
    session: "Session",
    id_: str,
    *,
    service: str | None = None,
    row: int = 0,
    around: datetime | None = None,
    replay: bool = True,
) -> Receipt:
    """Returns all that the caller may read of a prediction; with `replay` the stored model answers it again on this machine.

    Raises:
        FlywheelError: there is no such prediction, or the caller may not read it.
    """
    prediction = find_prediction(session, id_, service=service, row=row, around=around)
    artifact = find_version(session, prediction)
    replayed, computed = (
        _replay(session, prediction, artifact)
        if replay
        else ({"result": NOT_REPLAYED, "reason": "it was not asked for"}, {})
    )
    return Receipt(
        made_at=format_time(datetime.now(UTC)),
        prediction=prediction.part,
        version=artifact.part,
        audit=find_audit(session, artifact.part),
        replay=replayed,
        contributions=contributions_of(prediction.part, computed, replayed),
    )


def answer_again(
    part: Mapping[str, Any], rules: Mapping[str, Any], folder: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the part `replay` of a receipt by the artifact in a folder, and what was computed."""
    try:
        computed = recomputation.without_nonfinite(recomputation.recompute(folder, part["features"]))
    except NotReplayed as error:
        return {"result": NOT_REPLAYED, "reason": str(error)}, {}
    compared = recomputation.compare_answers(part["outputs"], computed["outputs"], rules)
    return {**compared, "outputs": computed["outputs"], "software": computed["software"]}, computed


def contributions_of(
    part: Mapping[str, Any], computed: Mapping[str, Any], replayed: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the part `contributions`: those that the log has beside the row, else computed ones, else the reason why there are none."""
    logged = part.get("explanation")
    if isinstance(logged, str):
        try:
            return {"source": "Log", **json.loads(logged)}
        except (ValueError, TypeError):
            return {"missing": "the log's explanation of the row cannot be read"}
    if "contributions" in computed:
        return {"source": "Computed", **computed["contributions"]}
    if "notExplained" in computed:
        return {"missing": f"{computed['notExplained']['reason']}: {computed['notExplained']['message']}"}
    return {
        "missing": f"the row was not answered again, and the log has no explanation of it: {replayed.get('reason')}"
    }


def _replay(session: "Session", prediction: Prediction, artifact: Artifact) -> tuple[dict[str, Any], dict[str, Any]]:
    files = {each.target: each for each in artifact.files}
    part = artifact.part
    if MODEL_FILE not in files:
        why = [
            part.get("missing"),
            *part.get("notes", ()),
            f"the artifact of ModelVersion '{part.get('name')}' has no {MODEL_FILE}",
        ]
        return {"result": NOT_REPLAYED, "reason": next(each for each in why if each)}, {}
    try:
        inputs = None
        if SIGNATURE_FILE in files:
            signature = json.loads(read_verified(session.reader, files[SIGNATURE_FILE]))
            inputs = [str(each["name"]) for each in signature["inputs"]]
        lacking = recomputation.lacking_inputs(prediction.part["features"], prediction.rules, inputs)
        if lacking:
            columns = ", ".join(f"{name} ({why})" for name, why in lacking.items())
            return {"result": NOT_REPLAYED, "reason": f"columns that the model reads are not in the log: {columns}"}, {}
        folder = recomputation.fetch_artifact(session.reader, artifact.files, str(part["digest"]))
    except FlywheelError as error:
        who = "you may not read the model: " if error.status in REFUSED else ""
        return {"result": NOT_REPLAYED, "reason": f"{who}{error.message}"}, {}
    except OSError as error:
        return {
            "result": NOT_REPLAYED,
            "reason": f"'{error.filename}' cannot be written: {error.strerror}; set XDG_CACHE_HOME",
        }, {}
    return answer_again(prediction.part, prediction.rules, folder)

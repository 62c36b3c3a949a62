"""What the part `version` of a receipt says of gates and approval, compared with the audit records."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from flywheel.client.receipts.audit_chain import Record

State = Literal["Holds", "Fails", "Open"]
Found = tuple[State, str]


def compare_with_records(version: Mapping[str, Any], named: Sequence[Record]) -> Iterator[Found]:
    """Yields what the records that name the version say of its gates and its approval; nothing of what the version does not have."""
    is_whole = any(each.body.get("event") == "Verified" for each in named)  # of a long chain the receipt has the end
    if version.get("gates"):
        yield _compare_gates(
            version["gates"], [each for each in named if each.body.get("event") == "Measured"], is_whole
        )
    if version.get("approval"):
        promoted = [each for each in named if each.body.get("event") == "Promoted"]
        yield _compare_approval(version["approval"], promoted, is_whole)


def _compare_gates(gates: Sequence[Mapping[str, Any]], measured: Sequence[Record], is_whole: bool) -> Found:
    stated = [_entry(each) for each in gates]
    for record in reversed(measured):
        recorded = ((record.body.get("found") or {}).get("facts") or {}).get("gates") or ()
        if [_entry(each) for each in recorded] == stated:
            return "Holds", f"the gates are those of audit record {record.number}"
    names = ", ".join(f"{name} {'passed' if passed else 'failed'}" for name, passed, _, _ in stated)
    if not measured or not is_whole or not any(is_measured for _, _, is_measured, _ in stated):
        return "Open", f"whether the gates found this ({names}): no audit record of the receipt has their measurement"
    return "Fails", f"the gates ({names}) are not those of audit record {measured[-1].number}, nor of one before it"


def _entry(gate: Mapping[str, Any]) -> tuple[Any, ...]:
    return gate.get("name"), gate.get("passed"), gate.get("measured") is not False, gate.get("message") or ""


def _compare_approval(approval: Mapping[str, Any], promoted: Sequence[Record], is_whole: bool) -> Found:
    by, at = approval.get("by"), _moment(approval.get("at"))
    for record in promoted:
        if record.body.get("approvedBy") == by and _moment(record.body.get("approvedAt")) == at:
            return "Holds", f"audit record {record.number} has the approval by {by} (its reason is in no record)"
    # An approval that came after the promotions is in no record, so only one that would be in one can be wrong.
    due = [each for each in promoted if (since := _moment(each.body.get("since"))) and at and since >= at]
    if not due or not is_whole:
        return "Open", f"whether {by} approved the version: no audit record of the receipt is of a promotion with it"
    return "Fails", f"the approval by {by} at {approval.get('at')} is not that of audit record {due[0].number}"


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None

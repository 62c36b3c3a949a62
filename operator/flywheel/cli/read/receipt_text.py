"""A receipt as text, and the findings of its check."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flywheel.client.controls import escape_controls
from flywheel.client.receipts.audit_chain import Record, chain_faults, promotion_before
from flywheel.client.receipts.document import Receipt
from flywheel.client.receipts.receipt_check import NO_SIGNATURE, Finding, describe_replay
from flywheel.client.receipts.recomputation import NOT_REPLAYED, describe_rule

MAX_CONTRIBUTIONS = 10  # of an output
MAX_VALUE_LENGTH = 80  # characters
WIDTH = 14  # of the names before the values
MARKS = {"Holds": "holds", "Fails": "FAILS", "Open": "open"}


def print_receipt(receipt: Receipt) -> None:
    """Prints the parts, one below the other."""
    for line in _lines(receipt):
        print(escape_controls(line))


def print_findings(receipt: Receipt, findings: Sequence[Finding]) -> None:
    """Prints each check, and what no check of a file shows."""
    part = receipt.prediction
    print(
        escape_controls(
            f"receipt of {receipt.made_at} for prediction {part.get('id')}, row {part.get('row')}, of InferenceService '{part.get('service')}'"
        )
    )
    for each in findings:
        print(escape_controls(f"{MARKS[each.state]:<7}{each.sentence}"))
    print(NO_SIGNATURE)


def _lines(receipt: Receipt) -> Iterator[str]:
    part = receipt.prediction
    many = f" of {part['rows']}" if part["rows"] > 1 else ""
    yield f"prediction {part['id']}, row {part['row']}{many}, of InferenceService '{part['service']}' in namespace '{part['namespace']}'"
    latency = f", answered in {part['latency_seconds'] * 1000:.3g} ms" if "latency_seconds" in part else ""
    route = f", route {part['route']}" if "route" in part else ""
    yield _field("time", f"{part.get('time')}{latency}{route}")
    yield from _value_lines("input", part["features"], part["columns"])
    dropped = [name for name, rule in part["columns"].items() if rule.get("action") == "Drop"]
    if dropped:
        yield _field("not logged", ", ".join(dropped))
    yield from _value_lines("answer", part["outputs"], part["columns"])
    if part.get("ambiguous"):
        yield _field("ambiguous", part["ambiguous"])
    yield from (_field("note", each) for each in part.get("notes", ()))
    yield from _contribution_lines(receipt.contributions)
    yield from _replay_lines(receipt.replay)
    yield from _version_lines(receipt.version)
    yield from _audit_lines(receipt)


def _contribution_lines(part: Mapping[str, Any]) -> Iterator[str]:
    if "missing" in part:
        yield _field("contributions", f"none: {part['missing']}")
        return
    origin = "from the log" if part["source"] == "Log" else "computed now"
    yield _field("contributions", f"{part['method']}, in {part['scale']}, {origin}")
    for output, found in part["outputs"].items():
        yield _field("", f"{output}: {found['value']:.6g} = base {found['base']:.6g}")
        ranked = list(found["contributions"].items())
        yield from (_field("", f"  {number:+.6g}  {column}") for column, number in ranked[:MAX_CONTRIBUTIONS])
        if len(ranked) > MAX_CONTRIBUTIONS:
            rest = sum(number for _, number in ranked[MAX_CONTRIBUTIONS:])
            yield _field("", f"  {rest:+.6g}  {len(ranked) - MAX_CONTRIBUTIONS} others")


def _replay_lines(part: Mapping[str, Any]) -> Iterator[str]:
    if part["result"] == NOT_REPLAYED:
        yield _field("replay", f"not replayed: {part['reason']}")
        return
    yield _field("replay", f"{describe_replay(part)} (onnxruntime {part['software']['onnxruntime']})")
    if part["notCompared"]:
        yield _field("", "not compared: " + ", ".join(f"{name} ({why})" for name, why in part["notCompared"].items()))


def _version_lines(part: Mapping[str, Any]) -> Iterator[str]:
    of_model = f" of Model '{part['model']}'" if part.get("model") else ""
    yield _field("version", f"{part['name']}{of_model}, {part.get('digest') or 'digest unknown'}")
    if "missing" in part:
        yield _field("", part["missing"])
        return
    gates = part.get("gates") or ()
    for place, each in enumerate(gates):
        result = "not measured" if each.get("measured") is False else "passed" if each["passed"] else "failed"
        yield _field("gates" if not place else "", f"{each['name']} {result}: {each.get('message', '')}")
    if not gates:
        yield _field("gates", "none were measured")
    approval = part.get("approval")
    if approval:
        yield _field("approval", f"by {approval.get('by')} at {approval.get('at')}: {approval.get('reason')}")
    rejection = part.get("rejection")
    if rejection:
        yield _field("rejection", _value(rejection))
    yield from (_field("note", each) for each in part.get("notes", ()))


def _audit_lines(receipt: Receipt) -> Iterator[str]:
    part, version = receipt.audit, str(receipt.version.get("name"))
    if "missing" in part:
        yield _field("audit", part["missing"])
        return
    records = [Record(each) for each in part["records"]]
    promotion = promotion_before(records, version, str(receipt.prediction.get("time")))
    if promotion is not None:
        body = promotion.body
        approved = f", approved by {body['approvedBy']}" if body.get("approvedBy") else ""
        yield _field(
            "promotion",
            f"audit record {promotion.number}, since {body.get('since')}{approved}: {body.get('message') or body.get('reason')}",
        )
    elif records:
        yield _field(
            "promotion",
            f"none is recorded: ModelVersion '{version}' was the challenger of a rollout, or is named by a service",
        )
    if records:
        faults = list(chain_faults(records, str(part["model"])))
        chain = f"records {records[0].number} to {records[-1].number} are a chain; the last one has SHA-256 {records[-1].sha256}"
        yield _field("audit", "; ".join(faults) or chain)
    yield from (_field("note", each) for each in part.get("notes", ()))


def _value_lines(title: str, values: Mapping[str, Any], rules: Mapping[str, Any]) -> Iterator[str]:
    for place, (name, value) in enumerate(values.items()):
        rule = f" ({describe_rule(rules[name])})" if name in rules else ""
        yield _field("" if place else title, f"{name} = {_value(value)}{rule}")


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 1]}…"


def _field(name: str, text: object) -> str:
    return f"  {name:<{WIDTH}}{text}"

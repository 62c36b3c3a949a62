"""What a version's gates say: from its status alone, and from what its gates' Job measured."""

from collections.abc import Callable

from flywheel.core.resource.values import parse_quantity
from flywheel.kinds.model.observe import Version
from flywheel.kinds.model.schema.gates import Gate, ServingGate, Threshold
from flywheel.kinds.model.schema.spec import ModelSpec

Finding = str | None


def first_finding(spec: ModelSpec, version: Version, champion: Version | None) -> Finding:
    """Why the version fails: the gates that need no rows first, since they cost nothing. None: no gate that was looked at failed."""
    for gate in spec.gates:
        finding = _from_the_status(gate, version, champion)
        if finding is not None:
            return f"gate '{gate.name}': {finding}"
    if needs_rows(spec, champion) and version.data is None:
        gate = next(gate for gate in spec.gates if gate.is_measured)
        return (
            f"gate '{gate.name}' needs test rows, and spec.lineage.datasetDigest of the version is absent; "
            "let an Experiment register it, or name the Dataset's artifact there"
        )
    return _from_the_rows(version) if is_measured_for(spec, version, champion) else None


def needs_rows(spec: ModelSpec, champion: Version | None) -> bool:
    """Whether a Job must measure anything. A gate against the champion needs one."""
    return any(gate.is_measured and (gate.champion is None or champion is not None) for gate in spec.gates)


def is_measured_for(spec: ModelSpec, version: Version, champion: Version | None) -> bool:
    """Whether the last measurement is of these very artifacts and of these gates."""
    result = version.gates
    if result is None or result.digest != version.digest or result.gates != spec.gates_hash():
        return False
    return result.champion_digest == (champion.digest if champion else None)


def compared_by_gate(spec: ModelSpec, version: Version) -> str | None:
    """The numbers of a gate `champion` that was passed and that compares by the objective (or there is none)."""
    objective = str(spec.objective.metric) if spec.objective else None
    told = {entry.name: entry.message for entry in version.gates.entries} if version.gates else {}
    for gate in spec.gates:
        if gate.champion is not None and objective in (None, gate.champion.metric):
            return told.get(str(gate.name))
    return None


def _from_the_rows(version: Version) -> Finding:
    failed = [entry for entry in version.gates.entries if not entry.passed] if version.gates else []
    if not failed:
        return None
    more = f" (and {len(failed) - 1} more gates)" if len(failed) > 1 else ""
    return f"gate '{failed[0].name}': {failed[0].message[:400]}{more}"


def _from_the_status(gate: Gate, version: Version, champion: Version | None) -> Finding:
    for told, look in _LOOKS:
        if getattr(gate, told) is not None:
            return look(gate, version, champion)
    return None


def _threshold(gate: Gate, version: Version, _champion: Version | None) -> Finding:
    threshold = gate.threshold
    assert threshold is not None, "that was asked before"
    return _outside(threshold, version)


def _outside(threshold: Threshold, version: Version) -> Finding:
    metric, least, most = threshold.metric, threshold.min, threshold.max
    value = version.metrics.get(metric)
    if value is None:
        return f"the version reports no {metric}"
    if least is not None and not float(value) >= least.value:
        return f"{metric} {float(value):.4g} is below {least}"
    if most is not None and not float(value) <= most.value:
        return f"{metric} {float(value):.4g} is above {most}"
    return None


def _serving(gate: Gate, version: Version, _champion: Version | None) -> Finding:
    serving = gate.serving
    assert serving is not None, "that was asked before"
    for metric, limit, told, unit in _limits(serving):
        value = version.metrics.get(metric)
        if value is None:
            return f"verification measured no {metric}; ask for it anew with annotation flywheel.ml/verify-requested"
        if not float(value) <= limit:
            return f"{metric} {float(value):g} {unit} is above {told}"
    return None


def _limits(serving: ServingGate) -> list[tuple[str, float, str, str]]:
    found = []
    if serving.p95 is not None:
        found.append(("p95_ms", serving.p95.seconds * 1000, str(serving.p95), "ms"))
    if serving.size is not None:
        found.append(("size_bytes", float(parse_quantity(serving.size)), str(serving.size), "bytes"))
    return found


def _signature(_gate: Gate, version: Version, champion: Version | None) -> Finding:
    if champion is None:
        return None
    if version.signature is None or champion.signature is None:
        whose = "the version" if version.signature is None else f"champion '{champion.name}'"
        return f"the signature of {whose} is not in its status (it is too long, or unknown), so they cannot be compared"
    mine, theirs = (
        {each.name: each for each in side.signature.inputs} for side in (version, champion) if side.signature
    )
    if extra := sorted(set(mine) ^ set(theirs)):
        where = "it takes" if extra[0] in mine else f"champion '{champion.name}' takes"
        return f"inputs differ: {where} '{extra[0]}' and the other does not"
    given = {each.name: each for each in version.signature.outputs}
    for kind, wanted, found in (
        ("input", champion.signature.inputs, mine),
        ("output", champion.signature.outputs, given),
    ):
        for tensor in wanted:
            other = found.get(tensor.name)
            if other is None:
                return f"it gives no output '{tensor.name}', which champion '{champion.name}' gives"
            if (other.datatype, other.shape) != (tensor.datatype, tensor.shape):
                return (
                    f"{kind} '{tensor.name}' is {other.datatype} {list(other.shape)}, "
                    f"and {tensor.datatype} {list(tensor.shape)} of champion '{champion.name}'"
                )
    return None


_LOOKS: tuple[tuple[str, Callable[[Gate, Version, Version | None], Finding]], ...] = (
    ("threshold", _threshold),
    ("serving", _serving),
    ("signature", _signature),
)

"""Which gate a version fails: by its status alone, or by what its gates' Job measured."""

from flywheel.core.resource.values import parse_quantity
from flywheel.kinds.model.observe import Version
from flywheel.kinds.model.schema.gates import Gate, ServingGate, Threshold
from flywheel.kinds.model.schema.spec import ModelSpec
from flywheel.kinds.modelversion.schema.status import Tensor

MAX_CLASSES_CHARACTERS = 200  # of each side, in a message

Finding = str | None


def first_failed_gate(spec: ModelSpec, version: Version, champion: Version | None) -> Finding:
    """The first gate that the version fails, and why; gates that need no rows come first, since they cost nothing. None: none failed so far."""
    for gate in spec.gates:
        finding = _status_finding(gate, version, champion)
        if finding is not None:
            return f"gate '{gate.name}': {finding}"
    of_data = next((gate for gate in spec.gates if gate.needs_data), None)
    if needs_measurement(spec, champion) and version.data is None and of_data is not None:
        return (
            f"gate '{of_data.name}' needs test rows, and spec.lineage.datasetDigest of the version is absent; "
            "let an Experiment register it, or name the Dataset's artifact there"
        )
    return _measured_finding(version) if is_measured_for(spec, version, champion) else None


def needs_measurement(spec: ModelSpec, champion: Version | None) -> bool:
    """Whether a Job must measure a gate of the user's. A gate against the champion needs one."""
    return any(gate.needs_rows and (not gate.needs_champion or champion is not None) for gate in spec.gates)


def awaits_default_gate(spec: ModelSpec, version: Version, champion: Version | None) -> bool:
    """Whether the operator's own gate has to be measured before the version becomes champion. Without its data it cannot be."""
    if spec.default_gate is None or version.data is None:
        return False
    return (
        not is_measured_for(spec, version, champion)
        or version.gates is None
        or version.gates.gates != spec.gates_hash()
    )


def is_measured_for(spec: ModelSpec, version: Version, champion: Version | None) -> bool:
    """Whether the last measurement is of these very artifacts and of the user's gates."""
    result = version.gates
    if result is None or result.digest != version.digest:
        return False
    if result.gates not in (spec.gates_hash(), spec.own_gates_hash()):
        return False
    return not spec.compares_champion or result.champion_digest == (champion.digest if champion else None)


def champion_gate_message(spec: ModelSpec, version: Version) -> str | None:
    """The numbers of a gate `champion` that was passed and that compares by the objective (or there is none)."""
    objective = str(spec.objective.metric) if spec.objective else None
    messages = {entry.name: entry.message for entry in version.gates.entries} if version.gates else {}
    for gate in spec.gates:
        if gate.champion is not None and objective in (None, gate.champion.metric):
            return messages.get(str(gate.name))
    return None


def _measured_finding(version: Version) -> Finding:
    failed = [entry for entry in version.gates.entries if not entry.passed] if version.gates else []
    if not failed:
        return None
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"gate '{failed[0].name}': {failed[0].message[:400]}{more}"


def _status_finding(gate: Gate, version: Version, champion: Version | None) -> Finding:
    if gate.threshold is not None:
        return _threshold_finding(gate.threshold, version)
    if gate.serving is not None:
        return _serving_finding(gate.serving, version)
    if gate.signature is not None and champion is not None:
        return _signature_finding(version, champion)
    return None


def _threshold_finding(threshold: Threshold, version: Version) -> Finding:
    metric, least, most = threshold.metric, threshold.min, threshold.max
    value = version.metric(metric)
    if value is None:
        return f"the version reports no {metric}"
    if least is not None and not value >= least.value:
        return f"{metric} {value:.4g} is below {least}"
    if most is not None and not value <= most.value:
        return f"{metric} {value:.4g} is above {most}"
    return None


def _serving_finding(serving: ServingGate, version: Version) -> Finding:
    for metric, limit, text, unit in _limits(serving):
        value = version.metric(metric)
        if value is None:
            return f"verification measured no {metric}; request it again with annotation flywheel.ml/verify-requested"
        if not value <= limit:
            return f"{metric} {value:g} {unit} is above {text}"
    return None


def _limits(serving: ServingGate) -> list[tuple[str, float, str, str]]:
    found = []
    if serving.p95 is not None:
        found.append(("p95_ms", serving.p95.seconds * 1000, str(serving.p95), "ms"))
    if serving.size is not None:
        found.append(("size_bytes", float(parse_quantity(serving.size)), str(serving.size), "bytes"))
    return found


def _widens(kind: str, wanted: Tensor, found: Tensor) -> bool:
    """Whether an input takes what the champion's takes and more: the server makes 64 bits of 32."""
    return kind == "input" and wanted.shape == found.shape and (wanted.datatype, found.datatype) == ("FP32", "FP64")


def _signature_finding(version: Version, champion: Version) -> Finding:
    """The first difference by which a caller of the champion could not call the version."""
    if version.signature is None or champion.signature is None:
        whose = "the version" if version.signature is None else f"champion '{champion.name}'"
        return f"the signature of {whose} is not in its status (it is too long, or unknown), so they cannot be compared"
    inputs = {each.name: each for each in version.signature.inputs}
    ignored = version.signature.left_out
    champion_inputs = {each.name: each for each in champion.signature.inputs if each.name not in ignored}
    if different := sorted(set(inputs) ^ set(champion_inputs)):
        where = "it takes" if different[0] in inputs else f"champion '{champion.name}' takes"
        return f"inputs differ: {where} '{different[0]}' and the other does not"
    outputs = {each.name: each for each in version.signature.outputs}
    for kind, wanted, found in (
        ("input", champion_inputs.values(), inputs),
        ("output", champion.signature.outputs, outputs),
    ):
        for tensor in wanted:
            other = found.get(tensor.name)
            if other is None:
                return f"it gives no output '{tensor.name}', which champion '{champion.name}' gives"
            if (other.datatype, other.shape) != (tensor.datatype, tensor.shape) and not _widens(kind, tensor, other):
                return (
                    f"{kind} '{tensor.name}' is {other.datatype} {list(other.shape)}, "
                    f"and {tensor.datatype} {list(tensor.shape)} of champion '{champion.name}'"
                )
    return _classes_finding(version.signature.classes, champion.signature.classes, champion.name)


def _classes_finding(classes: tuple[str, ...], champion_classes: tuple[str, ...], champion: str) -> Finding:
    """Callers find a class's probability by its place. Versions that an earlier build verified have no classes in their status."""
    if not classes or not champion_classes or classes == champion_classes:
        return None
    shown, wanted = (", ".join(names)[:MAX_CLASSES_CHARACTERS] for names in (classes, champion_classes))
    return f"its probabilities are of the classes {shown}, and of {wanted} by champion '{champion}'"

"""CycloneDX 1.6 ML-BOM: the model with its card, the data and the image that made it, as plain JSON.

https://cyclonedx.org/docs/1.6/json. `hashes` of an artifact are the SHA-256 of its manifest, the list of its files with theirs
(images/README.md, "The store"); the property flywheel:hashOf says so.
"""

import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import flywheel
from flywheel.cli.export.image import Image
from flywheel.cli.fields import content_digest, drop_empty, drop_empty_deeply, get_field, list_objects

DIGEST_PROPERTY = "flywheel:contentDigest"
SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
MANIFEST = "artifact manifest"


def document(facts: dict[str, Any]) -> str:
    """Returns the BOM with its digest, in JSON."""
    bom = contents(facts)
    bom["metadata"]["properties"].append({"name": DIGEST_PROPERTY, "value": content_digest(contents(facts))})
    return json.dumps(bom, indent=2, ensure_ascii=False) + "\n"


def split_digest(bom: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Returns the BOM's content, and the digest that it states."""
    found = list_objects(bom, "metadata", "properties")
    kept = [each for each in found if each.get("name") != DIGEST_PROPERTY]
    before = get_field(bom, "metadata")
    metadata = {**(before if isinstance(before, Mapping) else {}), "properties": kept}
    return {**bom, "metadata": metadata}, next(
        (each.get("value") for each in found if each.get("name") == DIGEST_PROPERTY), None
    )


def contents(facts: dict[str, Any]) -> dict[str, Any]:
    """Returns the BOM without its digest. The same facts give the same BOM, serial number and time included."""
    version = facts["version"]
    model, data, image = (drop_empty_deeply(part(facts)) for part in (_model, _data, _image))
    made_from = [each for each in (data, image) if each]
    serial = uuid5(NAMESPACE_URL, f"{version['namespace']}/{version['name']}@{version['digest']}")
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": version["verifiedAt"],
            "lifecycles": [{"phase": "post-build"}],
            "tools": {
                "components": [{"type": "application", "name": "flywheel", "version": flywheel.__version__}],
            },
            "component": model,
            "properties": _properties(_about(facts)),
        },
        "components": made_from,
        "dependencies": [
            {"ref": model["bom-ref"], "dependsOn": [each["bom-ref"] for each in made_from]},
            *({"ref": each["bom-ref"]} for each in made_from),
        ],
    }


def _model(facts: dict[str, Any]) -> dict[str, Any]:
    version, source = facts["version"], facts["version"].get("source") or {}
    place = get_field(source, "s3", "uri") or get_field(source, "http", "url")
    file = [{"alg": "SHA-256", "content": source["sha256"]}] if "sha256" in source else []
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{version['digest']}",
        "group": version["namespace"],
        "name": version["model"],
        "version": version["name"],
        "description": get_field(facts, "model", "description"),
        "hashes": [_hash(version["digest"])],
        "externalReferences": [drop_empty({"type": "distribution", "url": place, "hashes": file})] if place else [],
        "modelCard": _card(facts),
        "properties": _properties({"flywheel:format": version.get("format"), "flywheel:hashOf": MANIFEST}),
    }


def _card(facts: dict[str, Any]) -> dict[str, Any]:
    task, signature = get_field(facts, "dataset", "task"), get_field(facts, "version", "signature")
    parameters = get_field(facts, "lineage", "parameters") or {}
    measured = sorted((facts["version"].get("metrics") or {}).items())
    metrics = [{"type": name, "value": str(value)} for name, value in measured]
    return {
        "modelParameters": {
            "approach": {"type": "supervised"} if task else None,
            "task": task.lower() if task else None,
            "modelArchitecture": parameters.get("estimator"),
            "datasets": [{"ref": _data_ref(facts)}] if _data_ref(facts) else [],
            "inputs": [{"format": describe_tensor(each)} for each in list_objects(signature, "inputs")],
            "outputs": [{"format": describe_tensor(each)} for each in list_objects(signature, "outputs")],
        },
        "quantitativeAnalysis": {"performanceMetrics": metrics},
        "considerations": _considerations(facts),
        "properties": _properties(
            {f"flywheel:parameter:{name}": str(value) for name, value in parameters.items() if name != "estimator"}
        ),
    }


def describe_tensor(each: Mapping[str, Any]) -> str:
    """Returns such as `month: FP32[-1,1]`."""
    shape = ",".join(str(size) for size in each.get("shape") or ())
    return f"{each.get('name')}: {each.get('datatype')}[{shape}]"


def _considerations(facts: dict[str, Any]) -> dict[str, Any]:
    gates = [each for each in facts.get("gates") or () if each.get("message")]
    fair = {each["name"] for each in list_objects(facts, "model", "gates") if "fairness" in each or "slice" in each}
    quantized = facts["version"].get("quantization") or {}
    rejection = get_field(facts, "version", "rejection", "message")
    return {
        "useCases": text_list(get_field(facts, "model", "description")),
        "technicalLimitations": text_list(rejection),
        "performanceTradeoffs": [
            f"int8 weights: {quantized.get('sizeBefore')} bytes became {quantized.get('size')}; largest relative difference of an answer {quantized.get('gap')}"
        ]
        if quantized.get("weights")
        else [],
        "fairnessAssessments": [
            {"groupAtRisk": each["name"], "harms": each["message"]} for each in gates if each.get("name") in fair
        ],
    }


def text_list(text: Any) -> list[str]:
    """Returns a list of that text, or an empty one."""
    return [str(text)] if text else []


def _data_ref(facts: dict[str, Any]) -> str | None:
    digest = get_field(facts, "dataset", "digest")
    return f"data:{digest}" if digest else None


def _data(facts: dict[str, Any]) -> dict[str, Any]:
    data, ref = facts.get("dataset") or {}, _data_ref(facts)
    if ref is None:
        return {}
    source = data.get("source") or {}
    url = get_field(source, "s3", "uri") or get_field(source, "http", "url")
    about = {"flywheel:rows": data.get("rows"), "flywheel:testDigest": data.get("testDigest")}
    about |= {"flywheel:content": data.get("content"), "flywheel:claim": get_field(source, "pvc", "claimName")}
    return {
        "type": "data",
        "bom-ref": ref,
        "name": data.get("name") or data.get("version") or "data",
        "version": data.get("version"),
        "hashes": [_hash(data["digest"])],
        "pedigree": _pedigree(data, get_field(facts, "lineage", "prepared") or {}),
        "data": [
            drop_empty({"type": "dataset", "name": data.get("version"), "contents": drop_empty({"url": url})}),
        ],
        "properties": _properties({**about, "flywheel:hashOf": MANIFEST}),
    }


def _pedigree(data: Mapping[str, Any], prepared: Mapping[str, Any]) -> dict[str, Any]:
    """How a run prepared the data: its query, and the tables behind it, each with its own."""
    before = {"name": data.get("name"), "version": data.get("version"), "digest": data.get("preparedFrom")}
    tables = list_objects(prepared, "from") or ([before] if before["digest"] else [])
    return {
        "ancestors": [_ancestor(each) for each in tables if each.get("digest")],
        "notes": _describe_query(prepared),
    }


def _ancestor(table: Mapping[str, Any]) -> dict[str, Any]:
    ancestor = {
        "type": "data",
        "name": table.get("dataset") or table.get("name") or "data",
        "version": table.get("version"),
        "hashes": [_hash(str(table["digest"]))],
        "pedigree": {"notes": table.get("sql")},
    }
    return drop_empty_deeply(ancestor)


def _describe_query(prepared: Mapping[str, Any]) -> str | None:
    """Returns the query of prepared data, and what its placeholders stood for."""
    values = prepared.get("values") or {}
    with_values = ", ".join(f"$({name}) = {value}" for name, value in sorted(values.items()))
    step, run = prepared.get("step"), prepared.get("run")
    whole = f"step '{step}' of run '{run}' of another pipeline" if run else "all rows of the table"
    sql = prepared.get("sql") or (whole if step else None)
    return f"{sql}\nwith {with_values}" if sql and with_values else sql


def _image(facts: dict[str, Any]) -> dict[str, Any]:
    """The image that trained it."""
    text = get_field(facts, "lineage", "image")
    if not text:
        return {}
    image = Image.parse(text)
    return {
        "type": "container",
        "bom-ref": f"image:{text}",
        "name": image.name,
        "version": image.digest or image.tag,
        "purl": image.purl,
        "hashes": [_hash(image.digest)] if image.digest else [],
        "properties": _properties({"flywheel:role": "training"}),
    }


def _about(facts: dict[str, Any]) -> dict[str, Any]:
    """Where the version comes from, beyond its components."""
    version, lineage = facts["version"], facts.get("lineage") or {}
    gates = [each for each in facts.get("gates") or () if "name" in each]
    properties = {f"flywheel:{name}": lineage.get(name) for name in _LINEAGE}
    prepared = lineage.get("prepared") or {}
    properties |= {f"flywheel:prepared:{name}": prepared.get(name) for name in ("step", "run", "sql")}
    properties |= {f"flywheel:gate:{each['name']}": gate_result(each) for each in gates}
    properties |= {f"flywheel:service:{each['name']}": each["role"] for each in facts.get("services") or ()}
    return {
        **properties,
        "flywheel:namespace": version["namespace"],
        "flywheel:modelVersion": version["name"],
        "flywheel:testDigest": version.get("testDigest"),
        "flywheel:owner": get_field(facts, "model", "owner"),
        "flywheel:approvedBy": get_field(version, "approval", "by"),
        "flywheel:auditRecord": get_field(facts, "standing", "audit", "sha256"),
        "flywheel:verdict": get_field(facts, "standing", "verdict"),
    }


_LINEAGE = (
    "experiment",
    "experimentUid",
    "trial",
    "pipeline",
    "run",
    "revision",
    "seed",
    "gitRevision",
    "gitRepository",
)


def gate_result(gate: Mapping[str, Any]) -> str:
    """Returns whether a gate passed, or that it was not measured."""
    if gate.get("measured") is False:
        return "not measured"
    return "passed" if gate.get("passed") else "failed"


def _properties(values: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"name": name, "value": str(value)} for name, value in sorted(values.items()) if value is not None]


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}

"""All that the API server knows of one version, as one JSON object, from which cards and BOMs are rendered."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flywheel.cli.connection import Connection
from flywheel.cli.errors import CommandError
from flywheel.cli.fields import drop_empty, get_field, list_objects, pick_fields
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import api
from flywheel.core.resource.api import Api, Manifest
from flywheel.core.resource.conditions import find_condition

_VERSION_SPEC = ("model", "format", "source", "path", "quantize", "metrics", "archived")
_VERSION_STATUS = (
    "digest", "verifiedAt", "metrics", "testDigest", "signature", "golden", "quantization", "rejection", "approval",
    "featureImportance", "rowwise",
)  # fmt: skip
_OF_GATES = ("champion", "championDigest", "value", "championValue", "artifact", "at")
_OF_MODEL = ("description", "owner", "objective", "gates", "promotion")
_OF_DATA = ("digest", "content", "rows", "splits", "task", "classes", "testDigest", "warnings", "checkedAt")
_OF_TRIAL = ("trial", "estimator", "parameters", "metrics", "image", "node", "usage", "finishedAt")
_OF_STEP = ("name", "state", "reason", "cache", "cacheReason", "job", "image", "outputs", "metrics")


def fetch_facts(connection: Connection, name: str) -> dict[str, Any]:
    """Returns what is known of a verified version; what is unknown is left out.

    Raises:
        CommandError: there is no such version, or it is not verified.
    """
    version = connection.require(api.MODEL_VERSION, name)
    if get_field(version, "status", "digest") is None or get_field(version, "status", "verifiedAt") is None:
        why = find_condition(version, "Ready").get("message") or "its verify Job has not ended."
        raise CommandError(f"ModelVersion '{name}' is not verified, so there is nothing to export yet: {why}")
    spec = version.get("spec")
    return model_facts(
        version,
        model=_get_if_readable(connection, api.MODEL, get_field(spec, "model")),
        dataset=_get_if_readable(connection, api.DATASET, get_field(spec, "lineage", "dataset")),
        experiment=_get_if_readable(connection, api.EXPERIMENT, get_field(spec, "lineage", "experiment")),
        run=_get_if_readable(connection, api.TRAINING_RUN, get_field(spec, "lineage", "run")),
        services=connection.list_objects(api.INFERENCE_SERVICE),
    )


def model_facts(
    version: Manifest,
    *,
    model: Manifest | None = None,
    dataset: Manifest | None = None,
    experiment: Manifest | None = None,
    run: Manifest | None = None,
    services: Sequence[Manifest] = (),
) -> dict[str, Any]:
    """Returns the facts from the objects that were found."""
    lineage = get_field(version, "spec", "lineage") or {}
    return drop_empty(
        {
            "version": _version(version),
            # What the gates Job measured last, one entry for each gate.
            "gates": [
                pick_fields(each, "name", "passed", "measured", "message")
                for each in list_objects(version, "status", "gates", "entries")
            ],
            "measured": pick_fields(get_field(version, "status", "gates"), *_OF_GATES),
            "model": drop_empty(
                {"name": get_field(version, "spec", "model"), **pick_fields(get_field(model, "spec"), *_OF_MODEL)}
            ),
            "standing": _standing(model, version["metadata"]["name"]),
            "lineage": dict(lineage),
            "dataset": _dataset(dataset, lineage),
            "experiment": _experiment(experiment, lineage),
            "run": _run(run),
            "services": services_with_role(services, version["metadata"]["name"]),
        }
    )


def services_with_role(services: Iterable[Manifest], version: str) -> list[dict[str, Any]]:
    """Returns the InferenceServices that serve a version, name it in their spec, or have it as their challenger."""
    found = []
    for service in services:
        roles = {
            "serves": get_field(service, "status", "version"),
            "names": get_field(service, "spec", "version"),
            "tries": get_field(service, "status", "rollout", "challenger"),
        }
        named = [role for role, of in roles.items() if of == version]
        if named:
            url = get_field(service, "status", "url")
            found.append(drop_empty({"name": service["metadata"]["name"], "role": named[0], "url": url}))
    return found


def _get_if_readable(connection: Connection, kind: Api, name: Any) -> Manifest | None:
    """Returns a resource, or None if it was deleted or the user may not read its kind."""
    if not isinstance(name, str):
        return None
    try:
        return connection.get(kind, name)
    except ApiError as error:
        if error.forbidden:
            return None
        raise


def _version(version: Manifest) -> dict[str, Any]:
    metadata = version["metadata"]
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "createdAt": metadata.get("creationTimestamp", ""),
        **pick_fields(version.get("spec"), *_VERSION_SPEC),
        **pick_fields(version.get("status"), *_VERSION_STATUS),
    }


def _standing(model: Manifest | None, version: str) -> dict[str, Any]:
    """Returns the Model's verdict on this version, when it was champion, and the audit record of that where it is the last one."""
    verdict = next((each for each in list_objects(model, "status", "candidates") if each.get("version") == version), {})
    mine = [each for each in list_objects(model, "status", "history") if each.get("version") == version]
    reigns = [pick_fields(each, "number", "since", "reason", "approvedBy") for each in mine]
    audit = get_field(model, "status", "audit")
    recorded = get_field(audit, "recorded")
    is_mine = recorded is not None and recorded in [each.get("number") for each in mine]
    record = pick_fields(audit, "number", "sha256") if is_mine else {}
    return drop_empty({**pick_fields(verdict, "verdict", "message"), "reigns": reigns, "audit": record})


def _dataset(dataset: Manifest | None, lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the version of the Dataset that trained it. Where a run prepared data from it, facts about its rows do not hold for that
    data. The source is what the Dataset says now.
    """
    named = drop_empty({"name": lineage.get("dataset"), "version": lineage.get("datasetVersion")})
    listed = list_objects(dataset, "status", "versions")
    version = next((each for each in listed if each.get("name") == named.get("version")), {})
    digest = lineage.get("datasetDigest") or get_field(version, "digest")
    # Data of a version whose lineage has no tables yet, that of an earlier build, is found by the digest.
    tables = [each for each in list_objects(lineage, "prepared", "from") if each.get("version") == named.get("version")]
    before = next((each.get("digest") for each in tables), None) or get_field(version, "digest")
    prepared = before not in (None, digest)
    known = pick_fields(version, "task", "classes") if prepared else pick_fields(version, *_OF_DATA)
    declared = {"source": get_field(dataset, "spec", "source"), "target": get_field(dataset, "spec", "target")}
    return drop_empty({**named, **known, "digest": digest, "preparedFrom": before if prepared else None, **declared})


def _experiment(experiment: Manifest | None, lineage: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the search, unless it was deleted and another one has its name."""
    if experiment is None or lineage.get("experimentUid") not in (None, experiment["metadata"].get("uid")):
        return {}
    trials = [get_field(experiment, "status", "best"), *list_objects(experiment, "status", "lastTrials")]
    trial: Any = next((each for each in trials if get_field(each, "trial") == lineage.get("trial")), None)
    return drop_empty(
        {
            "name": experiment["metadata"]["name"],
            "search": get_field(experiment, "spec", "search"),
            "trials": get_field(experiment, "status", "trials"),
            **pick_fields(experiment.get("status"), "metric", "direction"),
            "trial": pick_fields(trial, *_OF_TRIAL),
        }
    )


def _run(run: Manifest | None) -> dict[str, Any]:
    if run is None:
        return {}
    steps = [pick_fields(each, *_OF_STEP) for each in list_objects(run, "status", "steps")]
    return drop_empty(
        {
            "name": run["metadata"]["name"],
            "pipeline": get_field(run, "spec", "pipeline"),
            **pick_fields(run.get("spec"), "cause", "reproduceOf"),
            **pick_fields(run.get("status"), "revision", "parameters", "inputs", "reproduced"),
            "steps": steps,
        }
    )

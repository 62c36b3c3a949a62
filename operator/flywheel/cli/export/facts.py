"""All that the API server knows of one version, as one JSON object: what cards and BOMs are written from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flywheel.cli.connection import Connection
from flywheel.cli.failure import Failure
from flywheel.cli.fields import at, condition, picked, rows, said
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import (
    DATASET,
    EXPERIMENT,
    INFERENCE_SERVICE,
    MODEL,
    MODEL_VERSION,
    TRAINING_RUN,
    Api,
    Manifest,
)

_VERSION_SPEC = ("model", "format", "source", "path", "quantize", "metrics", "archived")
_VERSION_STATUS = (
    "digest", "verifiedAt", "metrics", "testDigest", "signature", "golden", "quantization", "rejection", "approval",
)  # fmt: skip
_OF_MODEL = ("description", "owner", "objective", "gates", "promotion")
_OF_DATA = ("digest", "content", "rows", "splits", "task", "classes", "testDigest", "warnings", "checkedAt")
_OF_TRIAL = ("trial", "estimator", "parameters", "metrics", "image", "node", "usage", "finishedAt")
_OF_STEP = ("name", "state", "reason", "cache", "cacheReason", "job", "image", "outputs", "metrics")


def facts(connection: Connection, name: str) -> dict[str, Any]:
    """What is known of a verified version; whatever is unknown is left out.

    Raises:
        Failure: there is no such version, or it was never verified.
    """
    version = connection.found(MODEL_VERSION, name)
    if at(version, "status", "digest") is None or at(version, "status", "verifiedAt") is None:
        why = condition(version, "Ready").get("message") or "its verify Job has not ended."
        raise Failure(f"ModelVersion '{name}' is not verified, so nothing is known of it yet: {why}")
    spec = version.get("spec")
    return told(
        version,
        model=_other(connection, MODEL, at(spec, "model")),
        dataset=_other(connection, DATASET, at(spec, "lineage", "dataset")),
        experiment=_other(connection, EXPERIMENT, at(spec, "lineage", "experiment")),
        run=_other(connection, TRAINING_RUN, at(spec, "lineage", "run")),
        services=connection.every(INFERENCE_SERVICE),
    )


def told(
    version: Manifest,
    *,
    model: Manifest | None = None,
    dataset: Manifest | None = None,
    experiment: Manifest | None = None,
    run: Manifest | None = None,
    services: Sequence[Manifest] = (),
) -> dict[str, Any]:
    """The same from what was found."""
    lineage = at(version, "spec", "lineage") or {}
    return said(
        {
            "version": _version(version),
            "gates": _gates(version),
            "measured": picked(
                at(version, "status", "gates"), "champion", "championDigest", "value", "championValue", "artifact", "at"
            ),
            "model": said({"name": at(version, "spec", "model"), **picked(at(model, "spec"), *_OF_MODEL)}),
            "standing": _standing(model, version["metadata"]["name"]),
            "lineage": dict(lineage),
            "dataset": _dataset(dataset, lineage),
            "experiment": _experiment(experiment, lineage),
            "run": _run(run),
            "services": serving(services, version["metadata"]["name"]),
        }
    )


def serving(services: Iterable[Manifest], version: str) -> list[dict[str, Any]]:
    """The InferenceServices that serve a version, are told to, or try it."""
    found = []
    for service in services:
        roles = {
            "serves": at(service, "status", "version"),
            "names": at(service, "spec", "version"),
            "tries": at(service, "status", "rollout", "challenger"),
        }
        named = [role for role, of in roles.items() if of == version]
        if named:
            url = at(service, "status", "url")
            found.append(said({"name": service["metadata"]["name"], "role": named[0], "url": url}))
    return found


def _other(connection: Connection, api: Api, name: Any) -> Manifest | None:
    """A resource that may be gone, or whose kind this cluster or this user does not know: then it is not told of."""
    if not isinstance(name, str):
        return None
    try:
        return connection.get(api, name)
    except ApiError as error:
        if error.forbidden:
            return None
        raise


def _version(version: Manifest) -> dict[str, Any]:
    metadata = version["metadata"]
    spec, status = picked(version.get("spec"), *_VERSION_SPEC), picked(version.get("status"), *_VERSION_STATUS)
    return {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "createdAt": metadata.get("creationTimestamp", ""),
        **spec,
        **status,
    }


def _gates(version: Manifest) -> list[dict[str, Any]]:
    """What the gates' Job measured last, one entry for each gate."""
    found = rows(version, "status", "gates", "entries")
    return [picked(each, "name", "passed", "message") for each in found]


def _standing(model: Manifest | None, version: str) -> dict[str, Any]:
    """What the Model says of this version, when it was champion, and the audit record of that where it is the last one."""
    verdict = next((each for each in rows(model, "status", "candidates") if each.get("version") == version), {})
    mine = [each for each in rows(model, "status", "history") if each.get("version") == version]
    reigns = [picked(each, "number", "since", "reason", "approvedBy") for each in mine]
    audit = at(model, "status", "audit")
    recorded = at(audit, "recorded") is not None and at(audit, "recorded") in [each.get("number") for each in mine]
    record = picked(audit, "number", "sha256") if recorded else {}
    return said({**picked(verdict, "verdict", "message"), "reigns": reigns, "audit": record})


def _dataset(dataset: Manifest | None, lineage: Mapping[str, Any]) -> dict[str, Any]:
    """The version that trained it. Where a run prepared data from it, what is known of its rows is not true of that data.

    The source is what the Dataset says now.
    """
    named = said({"name": lineage.get("dataset"), "version": lineage.get("datasetVersion")})
    listed = rows(dataset, "status", "versions")
    version = next((each for each in listed if each.get("name") == named.get("version")), {})
    digest = lineage.get("datasetDigest") or at(version, "digest")
    prepared = at(version, "digest") not in (None, digest)
    known = picked(version, "task", "classes") if prepared else picked(version, *_OF_DATA)
    told = {"source": at(dataset, "spec", "source"), "target": at(dataset, "spec", "target")}
    origin = at(version, "digest") if prepared else None
    return said({**named, **known, "digest": digest, "preparedFrom": origin, **told})


def _experiment(experiment: Manifest | None, lineage: Mapping[str, Any]) -> dict[str, Any]:
    """The search; a namesake of another uid is another one."""
    if experiment is None or lineage.get("experimentUid") not in (None, experiment["metadata"].get("uid")):
        return {}
    trials = [at(experiment, "status", "best"), *rows(experiment, "status", "lastTrials")]
    trial: Any = next((each for each in trials if at(each, "trial") == lineage.get("trial")), None)
    return said(
        {
            "name": experiment["metadata"]["name"],
            "search": at(experiment, "spec", "search"),
            "trials": at(experiment, "status", "trials"),
            **picked(experiment.get("status"), "metric", "direction"),
            "trial": picked(trial, *_OF_TRIAL),
        }
    )


def _run(run: Manifest | None) -> dict[str, Any]:
    if run is None:
        return {}
    steps = [picked(each, *_OF_STEP) for each in rows(run, "status", "steps")]
    return said(
        {
            "name": run["metadata"]["name"],
            "pipeline": at(run, "spec", "pipeline"),
            **picked(run.get("spec"), "cause", "reproduceOf"),
            **picked(run.get("status"), "revision", "parameters", "inputs", "reproduced"),
            "steps": steps,
        }
    )

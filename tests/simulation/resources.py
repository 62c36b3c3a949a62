"""Builders of our own resources and of Jobs."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import NAMESPACE_DNS, uuid5

from flywheel.core.resource import names
from flywheel.core.resource.api import Api
from flywheel.core.resource.kind import AnyKind, AnyResource
from flywheel.core.resource.parse import parse_resource

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def stamp(time: datetime) -> str:
    """As metav1.Time."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def uid_of(api_kind: str, namespace: str, name: str) -> str:
    """The uid that the builders give: always the same for the same address."""
    return str(uuid5(NAMESPACE_DNS, f"{api_kind}/{namespace}/{name}"))


def custom(
    api: Api,
    name: str,
    spec: Mapping[str, Any],
    *,
    status: Mapping[str, Any] | None = None,
    namespace: str = "default",
    uid: str | None = None,
    generation: int = 1,
    created: datetime = NOON,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One of our resources as the API server would hand it out."""
    return {
        "apiVersion": api.api_version,
        "kind": api.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or uid_of(api.kind, namespace, name),
            "generation": generation,
            "resourceVersion": "1",
            "creationTimestamp": stamp(created),
            "labels": dict(labels or {}),
            "annotations": dict(annotations or {}),
        },
        "spec": dict(spec),
        **({"status": dict(status)} if status is not None else {}),
    }


def resource(kind: AnyKind, name: str, spec: Mapping[str, Any], **more: Any) -> AnyResource:
    """One of our resources, parsed (InvalidSpec if the spec does not fit the kind). `more` is what `custom` takes."""
    return parse_resource(kind, custom(kind.api, name, spec, **more))


def manifest(resource: AnyResource, **changes: Any) -> dict[str, Any]:
    """The manifest of a parsed resource, to be put into a FakeCluster; `changes` replace top-level fields such as status."""
    raw = custom(
        resource.api,
        resource.name,
        resource.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        status=resource.status.model_dump(mode="json", by_alias=True, exclude_none=True),
        namespace=resource.namespace,
        uid=resource.uid,
        generation=resource.generation,
        created=resource.created,
        labels=resource.labels,
        annotations=resource.annotations,
    )
    return {**raw, **changes}


def job(
    owner: AnyResource,
    name: str,
    *,
    state: Literal["Suspended", "Pending", "Running", "Complete", "Failed"] = "Running",
    reason: str = "",
    message: str = "",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    created: datetime = NOON,
    finished: datetime | None = None,
) -> dict[str, Any]:
    """A Job of the owner. `reason` and `message` are those of the condition Complete or Failed."""
    status: dict[str, Any] = {"startTime": stamp(created)}
    if state in ("Pending", "Running"):
        status |= {"active": 1, "ready": int(state == "Running")}
    if state in ("Complete", "Failed"):
        ended = stamp(finished or created)
        condition = {"type": state, "status": "True", "lastTransitionTime": ended, "reason": reason, "message": message}
        status |= {"conditions": [condition], "succeeded" if state == "Complete" else "failed": 1}
        if state == "Complete":
            status["completionTime"] = ended
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "uid": uid_of("Job", owner.namespace, name),
            "resourceVersion": "1",
            "creationTimestamp": stamp(created),
            "labels": {**names.labels(owner), **(labels or {})},
            "annotations": dict(annotations or {}),
            "ownerReferences": [names.owner_reference(owner)],
        },
        "spec": {"suspend": state == "Suspended"},
        "status": status,
    }


def params(job: Mapping[str, Any]) -> dict[str, Any]:
    """What main of a step's Job finds in params.json, whichever container writes it."""
    values = [
        variable.get("value", "{}").replace("$$", "$")
        for container in job["spec"]["template"]["spec"]["initContainers"]
        for variable in container.get("env", ())
        if variable["name"] == "FLYWHEEL_PARAMS"
    ]
    found: dict[str, Any] = json.loads(values[0])
    return found

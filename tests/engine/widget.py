"""A kind for the engine's tests: it owns a ConfigMap, a Deployment and a Job, and can be asked to misbehave."""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, JOB, Reference, flywheel_api
from flywheel.core.resource.kind import Cluster, Kind, Resource
from flywheel.core.resource.plan import Child, Plan
from flywheel.core.resource.schema import Schema, Status

WIDGETS = flywheel_api("Widget", "widgets")


class WidgetSpec(Schema):
    """A widget tells."""

    message: str = "hello"
    image: str = "flywheel.local/any:1"
    cpu: str = "500m"
    config: bool = True
    config_name: str | None = None
    jobs: int = 0
    serve: bool = False
    friend: str | None = None
    broken: bool = False
    invalid: bool = False


class WidgetStatus(Status):
    """What is read back."""

    told: str | None = None


Widget = Resource[WidgetSpec, WidgetStatus]


@dataclass(frozen=True)
class Seen:
    """Everything."""

    now: datetime
    friend: str | None
    config: str | None


def observe(widget: Widget, cluster: Cluster) -> Seen:
    friend = cluster.get(Reference(WIDGETS, widget.namespace, widget.spec.friend)) if widget.spec.friend else None
    configs = cluster.children(widget.uid, CONFIG_MAP)
    return Seen(
        now=cluster.now,
        friend=friend["spec"].get("message", "hello") if friend else None,
        config=configs[0]["data"].get("message") if configs else None,
    )


def decide(widget: Widget, seen: Seen) -> Plan:
    if widget.spec.broken:
        raise KeyError("a fault of the kind's")
    waiting = widget.spec.friend is not None and seen.friend is None
    return Plan(
        ready=not waiting,
        reason="FriendMissing" if waiting else "Told",
        message=f"Widget '{widget.spec.friend}' does not exist; create it" if waiting else "all is told",
        status=WidgetStatus(told=seen.friend or widget.spec.message),
        summary=widget.spec.message,
        children=(*configs(widget), *jobs(widget), *deployments(widget)),
        requeue_after=timedelta(hours=1),
    )


def configs(widget: Widget) -> tuple[Child, ...]:
    if not widget.spec.config:
        return ()
    name = widget.spec.config_name or names.child(widget, "config")
    data = {"message": widget.spec.message, **({"Invalid key!": "x"} if widget.spec.invalid else {})}
    return (Child(CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}),)


def pod(widget: Widget) -> dict[str, Any]:
    # As if another version of the operator rendered it.
    rendering = [{"name": "RENDERED_BY", "value": os.environ.get("WIDGET_RENDERING", "1")}]
    return {
        "restartPolicy": "Always",
        "containers": [
            {
                "name": "main",
                "image": widget.spec.image,
                "env": rendering,
                "resources": {"limits": {"cpu": widget.spec.cpu, "memory": "1024Mi"}},
            }
        ],
    }


def jobs(widget: Widget) -> tuple[Child, ...]:
    return tuple(
        Child(
            JOB,
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": names.job(widget, "step", attempt)},
                "spec": {"suspend": True, "template": {"spec": {**pod(widget), "restartPolicy": "Never"}}},
            },
            create_only=True,
        )
        for attempt in range(1, widget.spec.jobs + 1)
    )


def deployments(widget: Widget) -> tuple[Child, ...]:
    if not widget.spec.serve:
        return ()
    labels = {"widget": names.truncate(widget.name, 63)}
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": names.child(widget)},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod(widget)},
        },
    }
    return (Child(DEPLOYMENT, manifest, inputs={"image": widget.spec.image, "cpu": widget.spec.cpu}),)


KIND = Kind(
    api=WIDGETS,
    short_name="wg",
    spec=WidgetSpec,
    status=WidgetStatus,
    observe=observe,
    decide=decide,
    owns=(CONFIG_MAP, DEPLOYMENT, JOB),
    references=lambda widget: (
        (Reference(WIDGETS, widget.namespace, widget.spec.friend),) if widget.spec.friend is not None else ()
    ),
    normal_reasons=frozenset(("Told",)),
)

_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.flywheel.ml"},
    "spec": {
        "group": "flywheel.ml",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": _OPEN,
                            "status": {
                                "type": "object",
                                "properties": {
                                    "told": {"type": "string"},
                                    "summary": {"type": "string"},
                                    "observedGeneration": {"type": "integer"},
                                    "conditions": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["type"],
                                        "items": {
                                            "type": "object",
                                            "required": ["type"],
                                            "properties": {
                                                "observedGeneration": {"type": "integer"},
                                                "lastTransitionTime": {"type": "string", "format": "date-time"},
                                                **{
                                                    each: {"type": "string"}
                                                    for each in ("type", "status", "reason", "message")
                                                },
                                            },
                                        },
                                    },
                                },
                            },
                        },
                    }
                },
            }
        ],
    },
}

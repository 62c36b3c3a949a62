"""A Deployment of servers as it is."""

from dataclasses import dataclass

from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.model_reference import Target
from flywheel.kinds.inferenceservice.children import DIGEST_ANNOTATION, VERSION_ANNOTATION


@dataclass(frozen=True)
class Servers:
    """What a Deployment was told to serve, by which inputs, and how far it is.

    `replicas` are told to run, `existing` do, `updated` of them have the newest template, `ready` of them answer, whatever template.
    `settled`: the Deployment's controller has seen its newest spec. `proven`: its newest template was once rolled out whole.
    `one_by_one`: an old server goes before a new one comes.
    """

    target: Target | None
    inputs: str
    settled: bool
    replicas: int = 0
    existing: int = 0
    updated: int = 0
    ready: int = 0
    proven: bool = True
    one_by_one: bool = False


def servers(deployment: Manifest) -> Servers:
    """The facts of one Deployment."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    annotations = metadata.get("annotations") or {}
    version, digest = annotations.get(VERSION_ANNOTATION), annotations.get(DIGEST_ANNOTATION)
    surge = ((spec.get("strategy") or {}).get("rollingUpdate") or {}).get("maxSurge", 1)
    return Servers(
        target=Target(version, digest) if version and digest else None,
        inputs=annotations.get(names.INPUTS_ANNOTATION, ""),
        settled=status.get("observedGeneration", 0) >= metadata.get("generation", 1),
        replicas=spec.get("replicas", 1),
        existing=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        proven=_was_rolled_out(deployment),
        one_by_one=str(surge) == "0",
    )


def _was_rolled_out(deployment: Manifest) -> bool:
    conditions = (deployment.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Progressing" and each.get("reason") == "NewReplicaSetAvailable" for each in conditions)

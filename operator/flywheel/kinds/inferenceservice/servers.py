"""A Deployment of servers as it is."""

from dataclasses import dataclass

from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.children import DIGEST_ANNOTATION, VERSION_ANNOTATION, template_inputs
from flywheel.kinds.inferenceservice.schema import InferenceService


@dataclass(frozen=True)
class Servers:
    """What a Deployment serves, from which inputs, and how far it is.

    `replicas` are wanted by its spec, `existing` exist, `updated` of them have the newest template, `ready` of them are ready, whatever
    their template. `settled`: the Deployment's controller has seen its newest spec. `proven`: its newest template was once rolled out
    completely. `one_by_one`: an old server stops before a new one starts.
    """

    target: ResolvedVersion | None = None
    inputs: str = ""
    settled: bool = False
    replicas: int = 0
    existing: int = 0
    updated: int = 0
    ready: int = 0
    proven: bool = True
    one_by_one: bool = False

    def has_template_of(self, service: InferenceService, target: ResolvedVersion, settings: Settings) -> bool:
        """Whether the template is that of the target; the engine writes the first digits of its inputs' digest onto the Deployment."""
        digest = names.digest(dict(template_inputs(service, target, settings)))
        return bool(self.inputs) and digest.startswith(self.inputs)

    def all_ready(self, service: InferenceService, target: ResolvedVersion, settings: Settings, count: int) -> bool:
        """Whether exactly `count` servers exist, all have the target's template, and all are ready."""
        counts = {self.replicas, self.existing, self.updated, self.ready}
        return self.settled and counts == {count} and self.has_template_of(service, target, settings)


NO_SERVERS = Servers()  # there is no Deployment


def read_servers(deployment: Manifest) -> Servers:
    """The facts of one Deployment."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    annotations = metadata.get("annotations") or {}
    version, digest = annotations.get(VERSION_ANNOTATION), annotations.get(DIGEST_ANNOTATION)
    conditions = status.get("conditions") or []
    surge = ((spec.get("strategy") or {}).get("rollingUpdate") or {}).get("maxSurge", 1)
    return Servers(
        target=ResolvedVersion(version, digest) if version and digest else None,
        inputs=annotations.get(names.INPUTS_ANNOTATION, ""),
        settled=status.get("observedGeneration", 0) >= metadata.get("generation", 1),
        replicas=spec.get("replicas", 1),
        existing=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        proven=any(
            each["type"] == "Progressing" and each.get("reason") == "NewReplicaSetAvailable" for each in conditions
        ),
        one_by_one=str(surge) == "0",
    )

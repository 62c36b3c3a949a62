"""InferenceService as the engine sees it."""

from collections.abc import Iterator

from flywheel.core.api import (
    DEPLOYMENT,
    INFERENCE_SERVICE,
    MODEL,
    MODEL_VERSION,
    NETWORK_POLICY,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    SERVICE_ACCOUNT,
    Reference,
)
from flywheel.core.kind import Kind
from flywheel.kinds.inferenceservice.decide import decide
from flywheel.kinds.inferenceservice.observe import InferenceService, Seen, observe
from flywheel.kinds.inferenceservice.schema import InferenceServiceSpec, InferenceServiceStatus


def references(service: InferenceService) -> Iterator[Reference]:
    """The Model or version that the spec names, and the version that is served now."""
    if service.spec.model:
        yield Reference(MODEL, service.namespace, service.spec.model)
    for name in {service.spec.version, service.status.version} - {None}:
        yield Reference(MODEL_VERSION, service.namespace, str(name))


KIND: Kind[InferenceServiceSpec, InferenceServiceStatus, Seen] = Kind(
    api=INFERENCE_SERVICE,
    short_name="fwsvc",
    story="Online serving of a Model's champion, or of one version, by the Open Inference Protocol v2 over REST and gRPC.",
    spec=InferenceServiceSpec,
    status=InferenceServiceStatus,
    observe=observe,
    decide=decide,
    owns=(DEPLOYMENT, SERVICE, SERVICE_ACCOUNT, NETWORK_POLICY, POD_DISRUPTION_BUDGET),
    references=references,
    scale={
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
)

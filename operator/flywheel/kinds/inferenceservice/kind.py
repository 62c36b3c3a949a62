"""InferenceService as the engine sees it."""

from collections.abc import Iterable

from flywheel.core.resource.api import INFERENCE_SERVICE, MODEL, MODEL_VERSION, POD, Reference
from flywheel.core.resource.kind import HealthByReason, Kind
from flywheel.core.resource.schema import rule
from flywheel.kinds.inferenceservice.children import OWNS
from flywheel.kinds.inferenceservice.decide import decide
from flywheel.kinds.inferenceservice.observe import Seen, observe
from flywheel.kinds.inferenceservice.preview import preview
from flywheel.kinds.inferenceservice.schema import InferenceService, InferenceServiceSpec, InferenceServiceStatus


def references(service: InferenceService) -> Iterable[Reference]:
    """The Model and versions that the service wants or serves: a Model protects these versions from deletion."""
    if service.spec.model is not None:
        yield Reference(MODEL, service.namespace, service.spec.model)
    rollout = service.status.rollout
    in_rollout = (
        {rollout.challenger, rollout.champion, *(each.version for each in rollout.rejected)} if rollout else set()
    )
    for version in sorted({service.spec.version, service.status.version, *in_rollout} - {None}, key=str):
        yield Reference(MODEL_VERSION, service.namespace, str(version))


KIND: Kind[InferenceServiceSpec, InferenceServiceStatus, Seen] = Kind(
    api=INFERENCE_SERVICE,
    short_name="fwsvc",
    spec=InferenceServiceSpec,
    status=InferenceServiceStatus,
    observe=observe,
    decide=decide,
    owns=OWNS,
    patches=(POD,),
    references=references,
    rules=(
        rule(
            "self.metadata.name.matches('^[a-z]')",
            "metadata.name must start with a letter, because a Service gets the same name",
        ),
    ),
    selectable=(".spec.model", ".spec.version"),
    scale={
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
    preview=preview,
    normal_reasons=frozenset(
        (
            "NoChampion",
            "VersionNotReady",
            "Starting",
            "Serving",
            "NoReplicas",
            "Scaling",
            "RollingOut",
            "ChallengerStarting",
            "CanaryJudged",
            "ShadowJudged",
            "ABTestJudged",
            "RolloutPaused",
            "Promoting",
            "RolloutAborted",
        )
    ),
    health=HealthByReason(suspended=("RolloutPaused",), degraded=("EnvNotAllowed", "RolledBack", "ABTestInconclusive")),
)

"""What an object is made from: one function for each kind, from its spec and status."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.cli.fields import get_field, list_objects
from flywheel.core.resource import api
from flywheel.core.resource.api import Api, Manifest
from flywheel.core.resource.conditions import find_condition, is_true

SUCCEEDED = "Succeeded"
# Reasons of Ready where it is Ready with what was there before, and what the spec wishes has failed.
DEGRADED_REASONS = frozenset(
    ("ABTestInconclusive", "BreakerOpen", "CheckFailed", "EnvNotAllowed", "RolledBack", "TestFailed")
)
# Reasons of work in progress, as each kind's `normal_reasons`; every other reason of an object that is not Ready is a failure.
PROGRESS_REASONS = frozenset(
    (
        "CanaryJudged", "ChallengerStarting", "Checking", "DatasetNotReady", "FeatureSetNotReady", "Finishing", "JoiningFeatures", "Measuring",
        "NoChampion", "NoReplicas", "NoSuccessfulRun",
        "NoVersion", "NotBetter", "PipelineNotReady", "Planning", "Promoting", "Registering", "RollingOut", "Running", "Scaling",
        "Scoring", "Searching", "ShadowJudged", "Starting", "Testing", "Verifying", "VersionNotReady", "WaitingForVersion",
    )
)  # fmt: skip
WAITING_FOR_A_PERSON = frozenset(("AwaitingApproval", "RolloutPaused", "Suspended"))
PENDING_YEAR = "1970"  # of the condition that an object has before the operator has seen it
API_BY_KIND = {
    each.kind: each
    for each in (
        api.DATASET, api.EXPERIMENT, api.TRAINING_PIPELINE, api.TRAINING_RUN,
        api.MODEL_VERSION, api.MODEL, api.INFERENCE_SERVICE, api.BATCH_INFERENCE, api.MODEL_MONITOR, api.FEATURE_SET,
    )
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Key:
    """An object of the namespace by kind and name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'"

    @property
    def short(self) -> str:
        """`model/flight-delay`, as commands take it."""
        return f"{self.kind.lower()}/{self.name}"


Objects = Mapping[Key, Manifest]


def key_of(manifest: Manifest) -> Key:
    """Returns the key of an object."""
    return Key(str(manifest["kind"]), str(manifest["metadata"]["name"]))


def key_for(api_: Api, name: Any) -> Iterator[Key]:
    """Yields the key of that name; nothing where there is no name."""
    if isinstance(name, str) and name:
        yield Key(api_.kind, name)


def find_upstream(manifest: Manifest, objects: Objects) -> list[Key]:
    """Returns what an object is made from or waits for, the nearest first, whether that exists or not."""
    return list(dict.fromkeys(_UPSTREAM[str(manifest["kind"])](manifest, objects)))


def state_of(manifest: Manifest) -> tuple[str, str, str]:
    """Returns `good`, `waiting` or `bad`, and the reason and message of the condition that says so."""
    condition = find_condition(manifest, SUCCEEDED)
    ready = find_condition(manifest)
    if not ready or str(ready.get("lastTransitionTime", "")).startswith(PENDING_YEAR):
        return "waiting", "NotSeen", "The operator has not seen it yet; 'flywheel doctor' checks whether it runs."
    shown = condition if condition.get("status") == "False" else ready
    reason, message = str(shown.get("reason", "")), str(shown.get("message", ""))
    if reason in WAITING_FOR_A_PERSON:
        return "waiting", reason, message
    if has_ended(manifest) or reason in DEGRADED_REASONS:
        return "bad", reason, message
    if ready.get("status") == "True":
        return "good", reason, message
    return "waiting" if reason in PROGRESS_REASONS else "bad", reason, message


def has_ended(manifest: Manifest) -> bool:
    """Returns whether an object has failed for good, or until its spec changes, whatever becomes of what it is made from."""
    return find_condition(manifest, SUCCEEDED).get("status") == "False" or is_true(manifest, "Stalled")


def _service(service: Manifest, _objects: Objects) -> Iterator[Key]:
    yield from key_for(api.MODEL_VERSION, get_field(service, "spec", "version"))
    yield from key_for(api.MODEL, get_field(service, "spec", "model"))


def _monitor(monitor: Manifest, _objects: Objects) -> Iterator[Key]:
    yield from key_for(api.INFERENCE_SERVICE, get_field(monitor, "spec", "inferenceService"))
    yield from key_for(api.BATCH_INFERENCE, get_field(monitor, "spec", "batchInference"))


def _model(model: Manifest, objects: Objects) -> Iterator[Key]:
    """The champion, else the newest version, else what registers versions."""
    name = model["metadata"]["name"]
    for place in (("spec", "champion"), ("status", "champion")):
        yield from key_for(api.MODEL_VERSION, get_field(model, *place))
    versions = [each for each in _of_kind(objects, api.MODEL_VERSION) if get_field(each, "spec", "model") == name]
    for version in sorted(versions, key=lambda each: str(each["metadata"].get("creationTimestamp")), reverse=True)[:1]:
        yield key_of(version)
    yield from find_makers(key_of(model), objects)


def registering(model: str, objects: Objects) -> Iterator[Manifest]:
    """Yields the Experiments and pipelines that register versions of a model."""
    for each in _of_kind(objects, api.EXPERIMENT):
        if get_field(each, "spec", "register") == model and not _is_of_a_run(each):
            yield each
    for each in _of_kind(objects, api.TRAINING_PIPELINE):
        if any(get_field(step, "register", "model") == model for step in list_objects(each, "spec", "steps")):
            yield each


def find_makers(key: Key, objects: Objects) -> list[Key]:
    """Returns what will create an object that does not exist yet: the first version that is registered creates its Model."""
    return [key_of(each) for each in registering(key.name, objects)] if key.kind == api.MODEL.kind else []


def _version(version: Manifest, _objects: Objects) -> Iterator[Key]:
    yield from key_for(api.EXPERIMENT, get_field(version, "spec", "lineage", "experiment"))
    yield from key_for(api.TRAINING_RUN, get_field(version, "spec", "lineage", "run"))


def _experiment(experiment: Manifest, _objects: Objects) -> Iterator[Key]:
    yield from key_for(api.DATASET, get_field(experiment, "spec", "dataset"))
    for name in get_field(experiment, "spec", "featureSets") or ():
        yield from key_for(api.FEATURE_SET, name)
    yield from _owners(experiment)


def _feature_set(feature_set: Manifest, _objects: Objects) -> Iterator[Key]:
    for each in ("aggregates", "lookups"):
        for feature in list_objects(feature_set, "spec", each):
            yield from key_for(api.DATASET, get_field(feature, "from", "dataset"))


def _run(run: Manifest, objects: Objects) -> Iterator[Key]:
    """Its steps' own objects that are not done, then its pipeline and its data."""
    for each in _of_kind(objects, api.EXPERIMENT):
        if key_of(run) in _owners(each) and state_of(each)[0] != "good":
            yield key_of(each)
    for used in list_objects(run, "status", "inputs"):
        yield from key_for(api.TRAINING_RUN, used.get("run"))
        yield from key_for(api.DATASET, used.get("dataset") if not used.get("run") else None)
    yield from key_for(api.TRAINING_PIPELINE, get_field(run, "spec", "pipeline"))


def _pipeline(pipeline: Manifest, _objects: Objects) -> Iterator[Key]:
    for used in list_objects(pipeline, "spec", "inputs"):
        yield from key_for(api.DATASET, used.get("dataset"))
        yield from key_for(api.TRAINING_PIPELINE, get_field(used, "run", "pipeline"))


def _owners(manifest: Manifest) -> list[Key]:
    owners = list_objects(manifest["metadata"], "ownerReferences")
    return [Key(str(each.get("kind")), str(each.get("name"))) for each in owners if each.get("kind") in API_BY_KIND]


def _is_of_a_run(experiment: Manifest) -> bool:
    return any(owner.kind == api.TRAINING_RUN.kind for owner in _owners(experiment))


def _of_kind(objects: Objects, api_: Api) -> Iterable[Manifest]:
    return [manifest for key, manifest in sorted(objects.items()) if key.kind == api_.kind]


_UPSTREAM: dict[str, Callable[[Manifest, Objects], Iterator[Key]]] = {
    api.DATASET.kind: lambda _dataset, _objects: iter(()),
    api.EXPERIMENT.kind: _experiment,
    api.TRAINING_PIPELINE.kind: _pipeline,
    api.TRAINING_RUN.kind: _run,
    api.MODEL_VERSION.kind: _version,
    api.MODEL.kind: _model,
    api.INFERENCE_SERVICE.kind: _service,
    api.BATCH_INFERENCE.kind: _service,
    api.MODEL_MONITOR.kind: _monitor,
    api.FEATURE_SET.kind: _feature_set,
}

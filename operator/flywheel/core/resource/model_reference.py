"""Resolves a reference to a Model or a ModelVersion to a version and its artifact, and finds the users of a version."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from flywheel.core.resource import conditions
from flywheel.core.resource.api import EXPERIMENT, MODEL, MODEL_VERSION, TRAINING_PIPELINE, Api, Manifest, Reference
from flywheel.core.resource.kind import Cluster


@dataclass(frozen=True)
class ResolvedVersion:
    """A version, and the digest of its artifact in the store."""

    version: str
    digest: str


@dataclass(frozen=True)
class UnresolvedReference:
    """Why a reference cannot be resolved yet."""

    reason: str
    message: str


def resolve_version(
    namespace: str, model: str | None, version: str | None, cluster: Cluster
) -> ResolvedVersion | UnresolvedReference:
    """Resolves a spec with exactly one of `model`, which means its champion, and `version`."""
    return _version(namespace, version, cluster) if version is not None else _champion(namespace, str(model), cluster)


def _champion(namespace: str, name: str, cluster: Cluster) -> ResolvedVersion | UnresolvedReference:
    model = cluster.get(Reference(MODEL, namespace, name))
    if model is None:
        finding = f"Model '{name}' does not exist in namespace '{namespace}'"
        producer = _find_producer(Reference(MODEL, namespace, name), cluster)
        if producer is not None:
            return UnresolvedReference("ModelNotFound", f"{finding} yet; {producer}.")
        return UnresolvedReference("ModelNotFound", f"{finding}; create it or correct spec.model.")
    status = model.get("status") or {}
    champion, digest = status.get("champion"), status.get("championDigest")
    if champion is None or digest is None:
        return UnresolvedReference(
            "NoChampion",
            f"Model '{name}' has no champion yet. {conditions.find_condition(model).get('message', '')}".strip(),
        )
    return ResolvedVersion(champion, digest)


def _find_producer(model: Reference, cluster: Cluster) -> str | None:
    """The Experiment or the TrainingPipeline that registers versions of a Model, and what it does now, as the end of a sentence."""
    for experiment in cluster.referrers(EXPERIMENT, model):
        if experiment["spec"].get("register") == model.name:
            about = conditions.find_condition(experiment)
            state = f" ({about['reason']})" if about.get("reason") else ""
            return f"Experiment '{experiment['metadata']['name']}' creates it with its first version{state}"
    for pipeline in cluster.referrers(TRAINING_PIPELINE, model):
        steps = pipeline["spec"].get("steps") or ()
        if any((step.get("register") or {}).get("model") == model.name for step in steps):
            return f"a run of TrainingPipeline '{pipeline['metadata']['name']}' creates it with its first version"
    return None


def _version(namespace: str, name: str, cluster: Cluster) -> ResolvedVersion | UnresolvedReference:
    version = cluster.get(Reference(MODEL_VERSION, namespace, name))
    if version is None:
        finding = f"ModelVersion '{name}' does not exist in namespace '{namespace}'"
        return UnresolvedReference("VersionNotFound", f"{finding}; create it or correct spec.version.")
    ready, digest = conditions.find_condition(version), (version.get("status") or {}).get("digest")
    if digest is None or ready.get("status") != "True":
        return UnresolvedReference(
            "VersionNotReady", f"ModelVersion '{name}' is not verified. {ready.get('message', '')}".strip()
        )
    return ResolvedVersion(name, digest)


def require_approval(
    namespace: str, resolved: ResolvedVersion | UnresolvedReference, cluster: Cluster
) -> ResolvedVersion | UnresolvedReference:
    """Returns why a version that a spec names may not be served: its Model has promotion Approval, and it is neither approved nor champion."""
    if isinstance(resolved, UnresolvedReference):
        return resolved
    version = cluster.get(Reference(MODEL_VERSION, namespace, resolved.version)) or {}
    name = version.get("spec", {}).get("model")
    model = cluster.get(Reference(MODEL, namespace, str(name))) or {}
    status = model.get("status") or {}
    # The champion is this very artifact: another ModelVersion may have got the champion's name since.
    is_champion = (resolved.version, resolved.digest) == (status.get("champion"), status.get("championDigest"))
    if model.get("spec", {}).get("promotion") != "Approval" or is_champion:
        return resolved
    if (version.get("status") or {}).get("approval"):
        return resolved
    return UnresolvedReference(
        "NotApproved",
        f"ModelVersion '{resolved.version}' is not approved, and Model '{name}' has promotion: Approval; have it approved, or set spec.model to '{name}', whose champion is served.",
    )


def find_users(
    version: Reference, api: Api, versions_at_work: Callable[[Manifest], Collection[str]], cluster: Cluster
) -> tuple[str, ...]:
    """Names of the resources of a kind that use a ModelVersion, by what that kind's schema says of each."""
    found = (each for each in cluster.referrers(api, version) if version.name in versions_at_work(each))
    return tuple(sorted(each["metadata"]["name"] for each in found))

"""The FeatureSets of a run: the definitions that the version pins, and the present versions of the Datasets in which they look up."""

from flywheel.core.resource import conditions
from flywheel.core.resource.api import DATASET, MODEL_VERSION, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.core.resource.model_reference import ResolvedVersion, UnresolvedReference
from flywheel.core.resource.restrictions import Violation
from flywheel.kinds.batchinference.children import BatchInference
from flywheel.kinds.featureset.schema.current_pin import ready_version
from flywheel.kinds.featureset.schema.pins import DatasetPin, FeatureSetPin
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec

FeatureSets = tuple[FeatureSetPin, ...] | UnresolvedReference | Violation


def find_feature_sets(
    batch: BatchInference, model: ResolvedVersion | UnresolvedReference, cluster: Cluster
) -> FeatureSets:
    """Those that a run looks up in if it starts now; what it waits for; or why the version has none such."""
    if batch.spec.features is None or isinstance(model, UnresolvedReference):
        return ()
    manifest = cluster.get(Reference(MODEL_VERSION, batch.namespace, model.version)) or {}
    lineage = ModelVersionSpec.model_validate(manifest["spec"]).lineage if manifest else None
    pins = lineage.feature_sets if lineage is not None else ()
    wanted = batch.spec.features.from_
    chosen = tuple(pin for pin in pins if wanted is None or pin.name == wanted)
    if wanted is not None and not chosen:
        return _not_pinned(model.version, wanted, pins)
    found: list[FeatureSetPin] = []
    for pin in chosen:
        datasets = [_present_version(batch.namespace, str(each.name), pin, cluster) for each in pin.datasets]
        for each in datasets:
            if isinstance(each, UnresolvedReference):
                return each
        found.append(pin.model_copy(update={"datasets": tuple(datasets)}))
    return tuple(found)


def _not_pinned(version: str, wanted: str, pins: tuple[FeatureSetPin, ...]) -> Violation:
    if not pins:
        finding = f"ModelVersion '{version}' was trained without FeatureSets"
        return Violation("FeatureSetNotPinned", f"{finding}; remove spec.features, or train a version with '{wanted}'.")
    listed = ", ".join(f"'{pin.name}'" for pin in pins)
    finding = f"ModelVersion '{version}' was not trained with FeatureSet '{wanted}' but with {listed}"
    return Violation("FeatureSetNotPinned", f"{finding}; correct spec.features.from, or train a version with it.")


def _present_version(
    namespace: str, name: str, pin: FeatureSetPin, cluster: Cluster
) -> DatasetPin | UnresolvedReference:
    manifest = cluster.get(Reference(DATASET, namespace, name))
    about = f"in which FeatureSet '{pin.name}' looks features up"
    if manifest is None:
        finding = f"Dataset '{name}', {about}, does not exist in namespace '{namespace}'"
        return UnresolvedReference(
            "DatasetNotFound", f"{finding}; create it again, or use a version without this FeatureSet."
        )
    version = ready_version(manifest)
    if version is None:
        message = str(conditions.find_condition(manifest).get("message", ""))
        return UnresolvedReference("DatasetNotReady", f"Waiting for Dataset '{name}', {about}, to be Ready: {message}")
    return version

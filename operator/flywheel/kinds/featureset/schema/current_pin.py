"""The FeatureSet that a training takes now, and the Dataset in which features are looked up now, or why that has to wait."""

from flywheel.core.resource import conditions
from flywheel.core.resource.api import DATASET, FEATURE_SET, Manifest, Reference
from flywheel.core.resource.kind import Cluster
from flywheel.kinds.featureset.schema.pins import DatasetPin, FeatureSetPin
from flywheel.kinds.featureset.schema.status import FeatureSetStatus


def read_pin(namespace: str, name: str, cluster: Cluster) -> FeatureSetPin | tuple[str, str]:
    """The pin of its present definition and of the present versions of its Datasets; else reason and message.

    A version that the definition was not checked against yet is waited for: without the newest rows features of the newest rows would be wrong.
    """
    manifest = cluster.get(Reference(FEATURE_SET, namespace, name))
    if manifest is None:
        message = f"Waiting for FeatureSet '{name}' in namespace '{namespace}'; create it or correct spec.featureSets."
        return "FeatureSetNotFound", message
    status = FeatureSetStatus.model_validate(manifest.get("status") or {})
    if (
        not conditions.is_ready(manifest)
        or status.digest is None
        or status.generation != manifest["metadata"]["generation"]
    ):
        about = conditions.find_condition(manifest)
        message = f"Waiting for FeatureSet '{name}' to be Ready ({about.get('reason', 'Pending')}): {about.get('message', '')}"
        return "FeatureSetNotReady", message
    for used in status.datasets:
        dataset = cluster.get(Reference(DATASET, namespace, used.name)) or {}
        versions = (dataset.get("status") or {}).get("versions") or ()
        if versions and versions[0]["digest"] != used.digest:
            message = f"Waiting for the check of FeatureSet '{name}' against version {versions[0]['name']} of Dataset '{used.name}'."
            return "FeatureSetNotReady", message
    return FeatureSetPin(name=name, digest=status.digest, datasets=status.datasets)


def ready_version(dataset: Manifest) -> DatasetPin | None:
    """The present version of a Dataset; None where it is not Ready."""
    versions = (dataset.get("status") or {}).get("versions") or ()
    if not versions or not conditions.is_ready(dataset):
        return None
    return DatasetPin(name=dataset["metadata"]["name"], version=versions[0]["name"], digest=versions[0]["digest"])

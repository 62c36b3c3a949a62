"""ModelVersion as the engine sees it."""

from collections.abc import Iterable

from flywheel.core.resource.api import DATASET, FEATURE_SET, JOB, MODEL, MODEL_VERSION, Reference
from flywheel.core.resource.kind import Kind
from flywheel.kinds.modelversion.children import ModelVersion
from flywheel.kinds.modelversion.decide import decide
from flywheel.kinds.modelversion.observe import Seen, observe
from flywheel.kinds.modelversion.schema.spec import ModelVersionSpec
from flywheel.kinds.modelversion.schema.status import ModelVersionStatus


def references(version: ModelVersion) -> Iterable[Reference]:
    """Its Model, the Datasets that retain the versions it was trained on, and its FeatureSets."""
    yield Reference(MODEL, version.namespace, version.spec.model)
    if version.spec.lineage is not None and version.spec.lineage.dataset is not None:
        yield Reference(DATASET, version.namespace, version.spec.lineage.dataset)
    for pin in version.spec.lineage.feature_sets if version.spec.lineage else ():
        yield Reference(FEATURE_SET, version.namespace, pin.name)
        yield from (Reference(DATASET, version.namespace, each.name) for each in pin.datasets)


KIND: Kind[ModelVersionSpec, ModelVersionStatus, Seen] = Kind(
    api=MODEL_VERSION,
    short_name="fwver",
    spec=ModelVersionSpec,
    status=ModelVersionStatus,
    observe=observe,
    decide=decide,
    owns=(JOB,),
    references=references,
    selectable=(".spec.model",),
    normal_reasons=frozenset(("Verifying", "Verified")),
)

"""FeatureSet as the engine sees it."""

from collections.abc import Iterable

from flywheel.core.resource.api import DATASET, FEATURE_SET, JOB, MODEL, Reference
from flywheel.core.resource.kind import Kind
from flywheel.kinds.featureset.children import FeatureSet
from flywheel.kinds.featureset.decide import decide
from flywheel.kinds.featureset.observe import Seen, observe
from flywheel.kinds.featureset.schema.spec import FeatureSetSpec
from flywheel.kinds.featureset.schema.status import FeatureSetStatus


def references(featureset: FeatureSet) -> Iterable[Reference]:
    """Its Datasets, and the Models whose champion may need it."""
    yield from (Reference(DATASET, featureset.namespace, name) for name in featureset.spec.datasets)
    yield from (Reference(MODEL, featureset.namespace, name) for name in featureset.status.models)


KIND: Kind[FeatureSetSpec, FeatureSetStatus, Seen] = Kind(
    api=FEATURE_SET,
    short_name="fwfs",
    spec=FeatureSetSpec,
    status=FeatureSetStatus,
    observe=observe,
    decide=decide,
    owns=(JOB,),
    references=references,
    normal_reasons=frozenset(("Checking", "Checked", "DatasetNotReady", "Suspended")),
)

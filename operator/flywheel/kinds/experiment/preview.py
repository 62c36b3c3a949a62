"""The Jobs of an Experiment as they will be, whatever the data: `flywheel test` has the API server validate them in advance."""

from collections.abc import Iterable
from dataclasses import replace

from flywheel.core.resource.plan import Child
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.experiment.children import Experiment, join_job
from flywheel.kinds.experiment.decide import decide
from flywheel.kinds.experiment.observe import DatasetState, Seen
from flywheel.kinds.experiment.schema.status import Data, Join
from flywheel.kinds.featureset.schema.pins import FeatureSetPin


def preview(experiment: Experiment, settings: Settings) -> Iterable[Child]:
    """The children of the first plan where the data is there; one trial stands for all."""
    version = experiment.spec.dataset_version or "stand-in"
    digest = Digest(f"sha256:{'0' * 64}")
    pins = tuple(FeatureSetPin(name=name, digest=digest) for name in experiment.spec.feature_sets)
    data = Data(version=version, digest=digest, task="Classification", classes=2, feature_sets=pins)
    join = Join(number=1, question="stand-in", result="Running", retries=0)
    joins = (join_job(experiment, data, pins, join, settings),) if pins else ()
    one = experiment.spec.model_copy(update={"parallelism": 1, "suspend": False, "warm_start_from": ()})
    seen = Seen(now=experiment.created, settings=settings, dataset=DatasetState(True, "", "", versions=(data,)))
    plan = decide(replace(experiment, spec=one), seen)
    return (*joins, *(child for child in plan.children or () if isinstance(child, Child)))

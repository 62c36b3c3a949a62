"""The Job of a trial as it will be, whatever the data: `flywheel test` has the API server validate it in advance."""

from collections.abc import Iterable
from dataclasses import replace

from flywheel.core.resource.plan import Child
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.experiment.children import Experiment
from flywheel.kinds.experiment.decide import decide
from flywheel.kinds.experiment.observe import DatasetState, Seen
from flywheel.kinds.experiment.schema.status import Data


def preview(experiment: Experiment, settings: Settings) -> Iterable[Child]:
    """The children of the first plan where the data is there; one trial stands for all."""
    version = experiment.spec.dataset_version or "stand-in"
    data = Data(version=version, digest=Digest(f"sha256:{'0' * 64}"), task="Classification", classes=2)
    one = experiment.spec.model_copy(update={"parallelism": 1, "suspend": False, "warm_start_from": ()})
    seen = Seen(now=experiment.created, settings=settings, dataset=DatasetState(True, "", "", versions=(data,)))
    plan = decide(replace(experiment, spec=one), seen)
    return tuple(child for child in plan.children or () if isinstance(child, Child))

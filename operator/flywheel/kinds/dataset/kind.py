"""Dataset as the engine sees it."""

from flywheel.core.resource.api import CRON_JOB, DATASET, JOB
from flywheel.core.resource.kind import HealthByReason, Kind
from flywheel.kinds.dataset.decide import decide
from flywheel.kinds.dataset.observe import Seen, observe
from flywheel.kinds.dataset.schema.spec import DatasetSpec
from flywheel.kinds.dataset.schema.status import DatasetStatus

KIND: Kind[DatasetSpec, DatasetStatus, Seen] = Kind(
    api=DATASET,
    short_name="fwds",
    spec=DatasetSpec,
    status=DatasetStatus,
    observe=observe,
    decide=decide,
    owns=(CRON_JOB, JOB),
    normal_reasons=frozenset(("Checking", "Checked")),
    health=HealthByReason(degraded=("CheckFailed",)),
)

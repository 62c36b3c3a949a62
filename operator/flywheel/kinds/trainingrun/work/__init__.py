"""What becomes of each sort of step, behind one face (`order.Worker`): a Job, an Experiment, or a ModelVersion.

`jobs` has prepare, evaluate, package, container and notify; `training` has train; `registering` has register.
"""

from collections.abc import Mapping

from flywheel.kinds.trainingrun.work import jobs, registering, training
from flywheel.kinds.trainingrun.work.order import Worker

WORKERS: Mapping[str, Worker] = {**jobs.WORKERS, "train": training.TRAINING, "register": registering.REGISTERING}

"""What becomes of each sort of step, behind one face (`order.Worker`): a Job, an Experiment, or a ModelVersion.

`jobs` has prepare, evaluate, package, container and notify; `training` has train; `registering` has register.
"""

from collections.abc import Mapping

from flywheel.kinds.trainingrun.steps import jobs, register, train
from flywheel.kinds.trainingrun.steps.executor import Worker

WORKERS: Mapping[str, Worker] = {**jobs.WORKERS, "train": train.TRAINING, "register": register.REGISTERING}

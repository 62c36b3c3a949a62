"""Experiment as the engine sees it."""

from flywheel.core.resource.api import CONFIG_MAP, EXPERIMENT, JOB, MODEL, MODEL_VERSION, SERVICE
from flywheel.core.resource.kind import Kind
from flywheel.kinds.experiment.decide import decide
from flywheel.kinds.experiment.observe import Seen, observe, references
from flywheel.kinds.experiment.preview import preview
from flywheel.kinds.experiment.schema.immutable import RULES
from flywheel.kinds.experiment.schema.spec import ExperimentSpec
from flywheel.kinds.experiment.schema.status import ExperimentStatus

KIND: Kind[ExperimentSpec, ExperimentStatus, Seen] = Kind(
    api=EXPERIMENT,
    short_name="fwexp",
    spec=ExperimentSpec,
    status=ExperimentStatus,
    observe=observe,
    decide=decide,
    owns=(JOB, SERVICE, CONFIG_MAP),
    makes=(MODEL, MODEL_VERSION),
    references=references,
    bounded=True,
    rules=RULES,
    preview=preview,
    normal_reasons=frozenset(
        (
            "DatasetNotReady",
            "FeatureSetNotReady",
            "JoiningFeatures",
            "Searching",
            "Registering",
            "GoalReached",
            "BudgetSpent",
            "SpaceSearched",
            "Trained",
            "Plateau",
            "TimeSpent",
        )
    ),
)

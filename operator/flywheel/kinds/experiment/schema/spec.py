"""What a user writes into an Experiment."""

from typing import Any, Literal

from pydantic import Field

from flywheel.core.pods.distributed import Checkpoint, Distributed
from flywheel.core.resource.metric_direction import MetricObjective
from flywheel.core.resource.schema import (
    LIST_MAP_BY_NAME,
    PullSecret,
    Quantity,
    QueuedPlacement,
    Resources,
    Schema,
    exactly_one_of,
    model_rules,
    rule,
    validations,
)
from flywheel.core.resource.values import Digest, Duration, Label, MetricName, Number, ObjectName
from flywheel.kinds.experiment.schema.constraints import Constraint
from flywheel.kinds.experiment.schema.pruner import Pruner
from flywheel.kinds.experiment.schema.trainer import Trainer

MAX_TRIALS = 500
MAX_PARALLEL_JOBS = 100  # status.running holds them
# Every trial stays in status.history, where the sampler finds it again: at most 66 bytes and 13 for each searched
# parameter, so 500 times 66 and 4,000 times 13 = 85 kB for all of it.
MAX_RECORDED_VALUES = 4000

_TOO_MANY_VALUES = f"budget.maxTrials times the number of searched parameters may be at most {MAX_RECORDED_VALUES}, since status remembers every trial; lower either"


class Objective(MetricObjective):
    """The one number that trials compete for."""

    metric: MetricName = Field(description="A metric that every trial reports, such as roc_auc.")
    goal: Number | None = Field(None, description='The search ends when a trial reaches it, such as "0.85".')


class Search(Schema):
    """How the next trial is chosen."""

    algorithm: Literal["TPE", "Random", "Grid"] = Field(
        "TPE", description="TPE learns from earlier trials; Random does not; Grid walks through every point."
    )
    seed: int = Field(0, ge=0, le=2147483647, description="The same seed and history choose the same next trial.")


class Validation(Schema):
    """How a trial of trainer sklearn is evaluated: exactly one of folds, holdout."""

    model_config = model_rules(exactly_one_of("folds", "holdout"))

    folds: int | None = Field(
        None, ge=2, le=20, description="Cross-validation over this number of folds of the training data."
    )
    holdout: Literal["Validation"] | None = Field(None, description="The Dataset's validation part.")


class Plateau(Schema):
    """When a search no longer finds anything better."""

    trials: int = Field(ge=1, le=MAX_TRIALS, description="So many trials in a row without a better one end the search.")
    min_delta: Number | None = Field(
        None,
        description="How much better counts as better; absent, anything.",
        json_schema_extra=validations(rule("double(self) >= 0.0", "minDelta cannot be negative")),
    )


class Budget(Schema):
    """When the search ends. It may be raised at any time, and the search goes on."""

    max_trials: int = Field(12, ge=1, le=MAX_TRIALS, description="Trials at most, failed ones included.")
    max_failed_trials: int = Field(3, ge=1, le=MAX_TRIALS, description="So many failed trials end the search.")
    duration: Duration | None = Field(
        None, description="Time at most, from the first trial on; what runs then is stopped."
    )
    plateau: Plateau | None = Field(None, description="The search ends sooner where it finds nothing better any more.")


def _repeats_rules(container: str) -> tuple[dict[str, Any], ...]:
    return (
        rule(
            "!has(self.repeats) || !has(self.pruner)",
            "give repeats or pruner, not both: a mean is known only when all repeats have ended",
        ),
        rule(
            f"!has(self.repeats) || self.repeats * self.parallelism <= {MAX_PARALLEL_JOBS}",
            f"repeats times parallelism may be at most {MAX_PARALLEL_JOBS} Jobs; lower either",
        ),
        rule(
            f"!has(self.repeats) || !has({container}) || ((!has({container}.parameters) || !('seed' in {container}.parameters)) && (!has({container}.search) || !('seed' in {container}.search)))",
            "repeats writes the parameter seed of each repeat; remove seed from parameters and search",
        ),
    )


def _grid_rules(sklearn: str, container: str) -> tuple[dict[str, Any], ...]:
    return (
        rule(
            f"self.search.algorithm != 'Grid' || !has({sklearn}) || (has({sklearn}.estimators) && {sklearn}.estimators.size() > 0)",
            "search.algorithm Grid needs trainer.sklearn.estimators with their spaces; the preset's have no steps",
        ),
        rule(
            f"self.search.algorithm != 'Grid' || !has({sklearn}) || !has({sklearn}.estimators) || {sklearn}.estimators.all(e, !has(e.search) || e.search.all(p, !has(e.search[p].float) || has(e.search[p].float.step)))",
            "search.algorithm Grid needs a step in every float, or a choice",
        ),
        rule(
            f"self.search.algorithm != 'Grid' || !has({container}) || !has({container}.search) || {container}.search.all(p, !has({container}.search[p].float) || has({container}.search[p].float.step))",
            "search.algorithm Grid needs a step in every float, or a choice",
        ),
    )


def _template_rules() -> tuple[dict[str, Any], ...]:
    sklearn, container = "self.trainer.sklearn", "self.trainer.container"
    return (
        *_repeats_rules(container),
        rule(
            "!has(self.trainer.container) || has(self.objective)",
            "trainer container needs objective.metric, the name of a metric that it writes to metrics.json",
        ),
        rule(
            "!(has(self.trainer.container) && has(self.validation))",
            "validation is for trainer sklearn; a container judges its trials by itself",
        ),
        rule(
            "has(self.trainer.container) || !(has(self.distributed) || has(self.checkpoint))",
            "distributed and checkpoint are for trainer container; ours trains in one pod, in one go",
        ),
        *_grid_rules(sklearn, container),
        rule(
            "!has(self.keepArtifacts) || !has(self.repeats)",
            "of a trial with repeats the mean decides, which none of them knows; leave keepArtifacts or repeats out",
        ),
        rule(
            f"!has({sklearn}) || !has({sklearn}.estimators) || {sklearn}.estimators.all(e, !has(e.search) || e.search.size() * self.budget.maxTrials <= {MAX_RECORDED_VALUES})",
            _TOO_MANY_VALUES,
        ),
        rule(
            f"!has({container}) || !has({container}.search) || {container}.search.size() * self.budget.maxTrials <= {MAX_RECORDED_VALUES}",
            _TOO_MANY_VALUES,
        ),
    )


class EarlierExperiment(Schema):
    """An Experiment whose trials inform this search."""

    experiment: ObjectName = Field(description="Its name, in the same namespace.")


class ExperimentTemplate(Schema):
    """All of an Experiment but its data and what becomes of the best trial: what a pipeline's step `train` says as well."""

    objective: Objective | None = Field(
        None,
        description="The number to compete for; absent, roc_auc for two classes, f1_macro for more, rmse for numbers.",
    )
    trainer: Trainer = Field(description="What a trial runs.")
    search: Search = Field(default_factory=Search, description="How the next trial is chosen.")
    validation: Validation | None = Field(
        None, description="How a trial of trainer sklearn is evaluated; absent, on the Dataset's validation part."
    )
    constraints: tuple[Constraint, ...] = Field(
        (),
        max_length=8,
        description="Bounds on other metrics; a trial beyond one of them is never the best.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]},
    )
    repeats: int | None = Field(
        None,
        ge=2,
        le=10,
        description="Each trial is trained so often, with the seeds search.seed, search.seed + 1, …; their mean competes, and the one nearest to it gives the model. Absent, once.",
    )
    pruner: Pruner | None = Field(
        None, description="When a trial is not worth going on; absent, all go on to their end."
    )
    keep_artifacts: int | None = Field(
        None,
        ge=1,
        le=100,
        description="A trial uploads its model only if it is among this number of best trials when it ends; absent, every trial does. The best trial's model is always there.",
    )
    warm_start_from: tuple[EarlierExperiment, ...] = Field(
        (),
        max_length=4,
        description="Earlier Experiments with the same objective: what their trials found is known from the start. Their models stay theirs.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["experiment"]},
    )
    budget: Budget = Field(default_factory=Budget, description="When the search ends.")
    trial_timeout: Duration | None = Field(None, description="How long one trial may run; absent, there is no limit.")
    parallelism: int = Field(2, ge=1, le=50, description="Trials that run at the same time.")
    resources: Resources = Field(
        default_factory=Resources, description="What each trial's pod requests; absent, 500m CPU and 512Mi memory."
    )
    shared_memory: Quantity | None = Field(None, description="Size of /dev/shm in each trial, such as 8Gi.")
    image_pull_secrets: tuple[PullSecret, ...] = Field(
        (), max_length=8, description="Secrets to pull the trainer's image with.", json_schema_extra=LIST_MAP_BY_NAME
    )
    placement: QueuedPlacement = Field(default_factory=QueuedPlacement, description="Where trials may run.")
    distributed: Distributed | None = Field(
        None, description="Each trial of trainer container is one training in several pods; absent, it is one pod."
    )
    checkpoint: Checkpoint | None = Field(
        None,
        description="A lost trial of trainer container resumes from its newest checkpoint; absent, it starts again.",
    )


class Artifact(Schema):
    """Data that a step of a TrainingRun prepared. TrainingRuns write this; people name a Dataset."""

    digest: Digest = Field(description="The artifact in the store, of the same form as a Dataset's version.")
    version: str = Field(max_length=253, description="The name that lineage gives to it.")
    task: Literal["Classification", "Regression"] | None = Field(
        None, description="The task that follows from its target."
    )
    classes: int | None = Field(None, description="How many classes its target has.")


class ExperimentSpec(ExperimentTemplate):
    """A search over hyperparameters, or one plain training, on one version of a Dataset."""

    model_config = model_rules(
        *_template_rules(),
        exactly_one_of("dataset", "artifact"),
        rule("has(self.dataset) || !has(self.datasetVersion)", "datasetVersion pins a version of dataset"),
        rule(
            "!has(self.register) || !has(self.trainer.container) || has(self.trainer.container.model)",
            "register needs trainer.container.model, the file that the container leaves",
        ),
        rule(
            "!has(self.quantize) || has(self.register)",
            "quantize is done when the model is registered; set register too, or leave quantize out",
        ),
    )

    dataset: ObjectName | None = Field(None, description="The Dataset, in the same namespace.")
    dataset_version: str | None = Field(
        None,
        max_length=253,
        description="Pins one of its versions; absent, the one that is current when the search starts.",
    )
    artifact: Artifact | None = Field(None, description="Data that a TrainingRun prepared, in place of a Dataset.")
    register_: Label | None = Field(
        None,
        alias="register",
        description="The Model that the best trial becomes a version of; made if there is none.",
    )
    quantize: Literal["Dynamic"] | None = Field(
        None,
        description="Dynamic: the registered version is quantized to int8 before it is verified, and the loss is measured. Trees are not changed.",
    )
    suspend: bool = Field(False, description="True: no new trial starts; those that run go on.")

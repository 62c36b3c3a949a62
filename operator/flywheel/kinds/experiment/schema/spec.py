"""What a user writes into an Experiment."""

from typing import Any, Literal

from pydantic import Field

from flywheel.core.pods.distributed import Checkpoint, Distributed
from flywheel.core.resource.metric_direction import MetricObjective
from flywheel.core.resource.schema import (
    NameText,
    PullSecret,
    Quantity,
    QueuedPlacement,
    Resources,
    Schema,
    exactly_one_of,
    model_rules,
    named_list,
    rule,
    validations,
)
from flywheel.core.resource.values import Digest, Duration, Label, MetricName, Number, ObjectName
from flywheel.kinds.experiment.schema.constraints import Constraint
from flywheel.kinds.experiment.schema.pruner import Pruner
from flywheel.kinds.experiment.schema.rowwise import Expression, expression_rules, rowwise_field
from flywheel.kinds.experiment.schema.trainer import Code, Trainer, source_rules
from flywheel.kinds.featureset.schema.pins import FeatureSetPin, feature_sets_field, feature_sets_rule, pins_field

MAX_TRIALS = 500
MAX_PARALLEL_JOBS = 100  # status.running holds them
# Every trial stays in status.history, where the sampler finds it again: at most 66 bytes and 13 for each searched
# parameter, so 500 times 66 and 4,000 times 13 = 85 kB for all of it.
MAX_RECORDED_VALUES = 4000

_TOO_MANY_VALUES = f"budget.maxTrials times the number of searched parameters must be at most {MAX_RECORDED_VALUES}, because the status stores every trial; reduce one of them"


class Objective(MetricObjective):
    """The one number that trials compete for."""

    metric: MetricName = Field(description="A metric that every trial reports, such as roc_auc.")
    goal: Number | None = Field(
        None, description='Target value, such as "0.85". The search ends when a trial reaches it.'
    )


class Search(Schema):
    """Search algorithm."""

    algorithm: Literal["TPE", "Random", "Grid"] = Field(
        "TPE", description="TPE uses the results of earlier trials; Random does not; Grid tries every point."
    )
    seed: int = Field(
        0, ge=0, le=2147483647, description="Random seed. The same seed and history give the same next trial."
    )


class Validation(Schema):
    """How a trial of trainer sklearn is evaluated: exactly one of folds, holdout."""

    model_config = model_rules(exactly_one_of("folds", "holdout"))

    folds: int | None = Field(
        None, ge=2, le=20, description="Cross-validation over this number of folds of the training data."
    )
    holdout: Literal["Validation"] | None = Field(None, description="The validation split of the Dataset.")


class Plateau(Schema):
    """When a search no longer finds anything better."""

    trials: int = Field(
        ge=1, le=MAX_TRIALS, description="Number of consecutive trials without improvement that ends the search."
    )
    min_delta: Number | None = Field(
        None,
        description="Minimum change that counts as an improvement. Defaults to any improvement.",
        json_schema_extra=validations(rule("double(self) >= 0.0", "minDelta cannot be negative")),
    )


class Budget(Schema):
    """When the search ends. It may be raised at any time, and the search goes on."""

    max_trials: int = Field(12, ge=1, le=MAX_TRIALS, description="Maximum number of trials, including failed ones.")
    max_failed_trials: int = Field(
        3,
        ge=1,
        le=MAX_TRIALS,
        description="Number of failed trials after which an estimator is no longer tried, if most of its trials failed. The search ends when none has succeeded and every estimator failed; see failurePolicy.",
    )
    failure_policy: Literal["Continue", "End"] | None = Field(
        None,
        description="What maxFailedTrials does once a trial has succeeded. Continue, the default: the search goes on with what works until its budget is spent. End: the search ends. The best trial is registered in both cases.",
    )
    duration: Duration | None = Field(
        None, description="Maximum duration from the start of the first trial. Running trials are then stopped."
    )
    plateau: Plateau | None = Field(None, description="Ends the search early when it no longer improves.")


def _repeats_rules(container: str) -> tuple[dict[str, Any], ...]:
    return (
        rule(
            "!has(self.repeats) || !has(self.pruner)",
            "give repeats or pruner, not both: the mean is known only after all repeats have finished",
        ),
        rule(
            f"!has(self.repeats) || self.repeats * self.parallelism <= {MAX_PARALLEL_JOBS}",
            f"repeats times parallelism must be at most {MAX_PARALLEL_JOBS} Jobs; reduce one of them",
        ),
        rule(
            f"!has(self.repeats) || !has({container}) || ((!has({container}.parameters) || !('seed' in {container}.parameters)) && (!has({container}.search) || !('seed' in {container}.search)))",
            "repeats sets the parameter seed of each repeat; remove seed from parameters and search",
        ),
    )


def _grid_rules(sklearn: str, container: str) -> tuple[dict[str, Any], ...]:
    return (
        rule(
            f"self.search.algorithm != 'Grid' || !has({sklearn}) || (has({sklearn}.estimators) && {sklearn}.estimators.size() > 0)",
            "search.algorithm Grid requires trainer.sklearn.estimators with search spaces; those of the preset have no steps",
        ),
        rule(
            f"self.search.algorithm != 'Grid' || !has({sklearn}) || !has({sklearn}.estimators) || {sklearn}.estimators.all(e, !has(e.search) || e.search.all(p, !has(e.search[p].float) || has(e.search[p].float.step)))",
            "search.algorithm Grid requires a step for every float, or a choice",
        ),
        rule(
            f"self.search.algorithm != 'Grid' || !has({container}) || !has({container}.search) || {container}.search.all(p, !has({container}.search[p].float) || has({container}.search[p].float.step))",
            "search.algorithm Grid requires a step for every float, or a choice",
        ),
    )


def _template_rules() -> tuple[dict[str, Any], ...]:
    sklearn, container = "self.trainer.sklearn", "self.trainer.container"
    return (
        *_repeats_rules(container),
        rule(
            "!has(self.trainer.container) || has(self.objective)",
            "trainer.container requires objective.metric, the name of a metric that it writes to metrics.json",
        ),
        rule(
            "!(has(self.trainer.container) && has(self.validation))",
            "validation requires trainer.sklearn; a container validates its trials itself",
        ),
        rule(
            "!(has(self.trainer.container) && has(self.rowwise))",
            "rowwise requires trainer.sklearn; a container computes its features itself",
        ),
        feature_sets_rule(),
        rule(
            "has(self.trainer.container) || !(has(self.distributed) || has(self.checkpoint))",
            "distributed and checkpoint require trainer.container; trainer.sklearn trains in one pod without checkpoints",
        ),
        *_grid_rules(sklearn, container),
        rule(
            "!has(self.keepArtifacts) || !has(self.repeats)",
            "keepArtifacts and repeats cannot be combined, because a single repeat does not know the mean; remove one of them",
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
        description="Metric to optimize. Defaults to roc_auc for two classes, f1_macro for more classes and rmse for regression.",
    )
    trainer: Trainer = Field(description="Program that a trial runs.")
    rowwise: dict[str, Expression] = rowwise_field()
    feature_sets: tuple[ObjectName, ...] = feature_sets_field()
    code: Code | None = Field(
        None, description="Revision of the trainer's code, recorded in the lineage of what is registered."
    )
    search: Search = Field(default_factory=Search, description="Search algorithm.")
    validation: Validation | None = Field(
        None,
        description="How a trial of trainer sklearn is evaluated. Defaults to the validation split of the Dataset.",
    )
    constraints: tuple[Constraint, ...] = Field(
        (),
        max_length=8,
        description="Bounds on other metrics. A trial that violates a bound is never the best.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]},
    )
    repeats: int | None = Field(
        None,
        ge=2,
        le=10,
        description="Number of times each trial is trained, with the seeds search.seed, search.seed + 1, … The mean of the objective counts, and the repeat closest to the mean provides the model. Defaults to 1.",
    )
    pruner: Pruner | None = Field(
        None, description="When to stop unpromising trials. Without it, all trials run to their end."
    )
    keep_artifacts: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Number of best trials whose models are stored, determined when a trial ends. Defaults to all. The model of the best trial is always stored.",
    )
    warm_start_from: tuple[EarlierExperiment, ...] = Field(
        (),
        max_length=4,
        description="Earlier Experiments with the same objective, whose results the search starts from. Their models are not reused.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["experiment"]},
    )
    budget: Budget = Field(default_factory=Budget, description="Limits of the search.")
    trial_timeout: Duration | None = Field(
        None,
        description="Maximum duration of a trial. Defaults to that of the installation, 24h unless the chart's value steps.timeouts.training is another.",
    )
    parallelism: int = Field(2, ge=1, le=50, description="Number of trials that run in parallel.")
    resources: Resources = Field(
        default_factory=Resources, description="Resources of each trial's pod. Defaults to 500m CPU and 512Mi memory."
    )
    shared_memory: Quantity | None = Field(None, description="Size of /dev/shm in each trial, such as 8Gi.")
    image_pull_secrets: tuple[PullSecret, ...] = named_list(8, "Secrets for pulling the trainer's image.")
    placement: QueuedPlacement = Field(
        default_factory=QueuedPlacement, description="Scheduling constraints of the trials."
    )
    distributed: Distributed | None = Field(
        None, description="Runs each trial of trainer.container in several pods. Defaults to one pod."
    )
    checkpoint: Checkpoint | None = Field(
        None,
        description="Lets a lost trial of trainer.container resume from its newest checkpoint. Without it, the trial starts again.",
    )


class Artifact(Schema):
    """Data that a step of a TrainingRun prepared. TrainingRuns write this; people name a Dataset."""

    digest: Digest = Field(description="Artifact in the store, in the format of a Dataset's version.")
    version: NameText = Field(description="Its name in the lineage.")
    task: Literal["Classification", "Regression"] | None = Field(
        None, description="The task that follows from its target."
    )
    classes: int | None = Field(None, description="Number of classes of its target.")
    feature_sets: tuple[FeatureSetPin, ...] = pins_field("The FeatureSets as they were when the step started.")


class ExperimentSpec(ExperimentTemplate):
    """An Experiment is a hyperparameter search or a single training; its status records every trial."""

    model_config = model_rules(
        *_template_rules(),
        *source_rules(),
        *expression_rules(),
        exactly_one_of("dataset", "artifact"),
        rule(
            "has(self.dataset) || !has(self.datasetVersion)",
            "datasetVersion requires dataset, of which it pins a version",
        ),
        rule(
            "!has(self.register) || !has(self.trainer.container) || has(self.trainer.container.model)",
            "register requires trainer.container.model, the file that the container writes",
        ),
        rule(
            "!has(self.quantize) || has(self.register)",
            "quantize requires register, because the model is quantized when it is registered",
        ),
    )

    dataset: ObjectName | None = Field(None, description="The Dataset, in the same namespace.")
    dataset_version: NameText | None = Field(
        None,
        description="Pins one of its versions. Defaults to the current version when the search starts.",
    )
    artifact: Artifact | None = Field(None, description="Data that a TrainingRun prepared, instead of a Dataset.")
    register_: Label | None = Field(
        None,
        alias="register",
        description="Model for which the best trial is registered as a version. It is created if it does not exist.",
    )
    quantize: Literal["Dynamic"] | None = Field(
        None,
        description="Dynamic quantizes the registered version to int8 before its verification and measures the effect. Tree models are not changed.",
    )
    retention: Duration | None = Field(
        None,
        description="How long the records, metrics, curves and logs of the trials are shown after they ended, once the Experiment is deleted. Defaults to no limit.",
    )
    suspend: bool = Field(False, description="If true, no new trial starts. Running trials continue.")

"""The steps of a pipeline. A step names only steps above it, so there can be no cycle."""

from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.pods.distributed import Checkpoint, Distributed
from flywheel.core.resource.schema import (
    Argument,
    ImageName,
    ModelPath,
    PullSecrets,
    Quantity,
    QueuedPlacement,
    Resources,
    Schema,
    Variable,
    Webhook,
    exactly_one_of,
    model_rules,
    named_list,
    rule,
)
from flywheel.core.resource.values import Duration, Label, MetricName, Number
from flywheel.kinds.experiment.schema.distributions import Parameter
from flywheel.kinds.experiment.schema.spec import ExperimentTemplate

MAX_STEPS = 200
MAX_ITEMS = 64
STEP_KINDS = ("prepare", "train", "evaluate", "package", "register", "container", "notify")
DATA, MODEL = ("prepare", "container"), ("train", "package", "container")  # which of them leave data, and which a model


class StepName(Label):
    """The name of a step, which is short, since status and names of Jobs repeat it."""

    max_length = 40


class MetricOf(Schema):
    """A metric that a step above reported."""

    step: StepName = Field(description="The step, above this one.")
    name: MetricName = Field(description="The metric, such as roc_auc.")


class When(Schema):
    """One condition on exactly one of parameter, metric and run."""

    model_config = model_rules(
        exactly_one_of("parameter", "metric", "run"),
        rule(
            "has(self.run) || has(self.min) || has(self.max) || has(self.values)",
            "give min, max or values",
        ),
    )

    parameter: str | None = Field(None, max_length=40, description="A parameter of the pipeline.")
    metric: MetricOf | None = Field(None, description="A metric of a step above.")
    run: Literal["Succeeded", "Failed"] | None = Field(
        None, description="The result of the steps before finally; only for steps of finally."
    )
    min: Number | None = Field(None, description='Minimum value, such as "0.6".')
    max: Number | None = Field(None, description="Maximum value.")
    values: tuple[Annotated[str, Field(max_length=256)], ...] | None = Field(
        None, min_length=1, max_length=16, description='Allowed values, written as strings: ["3", "6"].'
    )


class Retry(Schema):
    """How often a step is retried, by cause."""

    user: int = Field(0, ge=0, le=10, description="Retries after a failure of the step's own code.")
    out_of_memory: int = Field(
        0, ge=0, le=5, description="After it ran out of memory, each time with twice the memory."
    )
    infrastructure: int = Field(5, ge=0, le=20, description="After a lost node, an eviction, or an unavailable store.")


class Prepare(Schema):
    """A query over data, in DuckDB's SQL. Each input is a table by its name, with a column flywheel_split: train, validation or test."""

    from_: tuple[StepName, ...] = Field(
        alias="from",
        min_length=1,
        max_length=8,
        description="Inputs of the pipeline, or steps above that produce data.",
    )
    sql: str | None = Field(
        None,
        max_length=16384,
        description="One SELECT. $(params.x) and $(run.date) are bound as values, never pasted into the text. Rows keep their split if the result has flywheel_split, else they are split anew. Absent, all rows of the only table.",
    )


class Train(ExperimentTemplate):
    """A hyperparameter search or a single training, as an Experiment."""

    from_: StepName = Field(alias="from", description="An input of the pipeline, or a step above that produces data.")


class Evaluate(Schema):
    """Metrics on all test rows and by slice, and curves."""

    from_: StepName = Field(alias="from", description="The step above that produces the model.")
    data: StepName | None = Field(
        None, description="The input or step above with the test rows; absent, the data that the model was trained on."
    )
    by: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = Field(
        (), max_length=8, description="Columns whose values define slices."
    )
    metric: MetricName | None = Field(
        None, description="The metric of slices; absent, that of the training's objective."
    )


class Package(Schema):
    """Another form of the same model."""

    from_: StepName = Field(alias="from", description="The step above that produces the model.")
    quantize: Literal["Dynamic"] = Field(
        description="Dynamic: weights of matrix products become int8, and the loss of quality is measured."
    )


class Register(Schema):
    """The registration of the model as a version of a Model, whose gates decide on its promotion."""

    from_: StepName = Field(alias="from", description="The step above that produces the model.")
    model: Label = Field(description="The Model; created if it does not exist.")


class InputOf(Schema):
    """An input of a container, in /flywheel/inputs/<name>/."""

    name: Label = Field(description="Name of the folder.")
    from_: StepName = Field(alias="from", description="An input of the pipeline, or a step above.")
    output: Label | None = Field(
        None,
        description="The output of that step; absent, its only one, or that named model or data. For a step with forEach it is that of every item, in the folders <name>-0, <name>-1, …",
    )


class ForEach(Schema):
    """The same work for each of several sets of parameters, in pods of one Job."""

    items: tuple[Annotated[dict[str, Parameter], Field(max_length=16)], ...] = Field(
        min_length=1,
        max_length=MAX_ITEMS,
        description="Additional parameters of each item; $(params.x) is replaced. An output `part` of item 3 (the first is 0) is the step's output part-3; metrics are the means over all items.",
    )
    parallelism: int = Field(4, ge=1, le=MAX_ITEMS, description="The number of items that run at the same time.")


class Container(Schema):
    """A container of any image, by the file contract of images/README.md."""

    model_config = model_rules(
        rule("!(has(self.forEach) && has(self.distributed))", "give forEach or distributed, not both")
    )

    image: ImageName = Field(description="The image; only one named by digest (image@sha256:…) can use the cache.")
    command: tuple[Argument, ...] = Field(
        (), max_length=32, description="Command of the container. Defaults to the image's entrypoint."
    )
    args: tuple[Argument, ...] = Field((), max_length=64, description="Its arguments; $(params.x) is replaced.")
    env: tuple[Variable, ...] = named_list(32, "Environment variables, as values or from Secrets.")
    parameters: dict[str, Parameter] = Field(
        default_factory=dict, max_length=64, description="Written to params.json; $(params.x) is replaced."
    )
    inputs: tuple[InputOf, ...] = named_list(8, "Its input data.")
    outputs: tuple[Label, ...] = Field(
        (),
        max_length=8,
        description="Folders that it must write in /flywheel/outputs/.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    model_path: ModelPath = Field(
        "model.onnx",
        description="Model file in the output named model.",
    )
    shared_memory: Quantity | None = Field(None, description="Size of /dev/shm, such as 8Gi.")
    image_pull_secrets: PullSecrets = Field((), description="Secrets for pulling the image.")
    for_each: ForEach | None = Field(None, description="Runs the container for several sets of parameters.")
    distributed: Distributed | None = Field(
        None, description="Runs the container in several pods together; absent, in one."
    )
    checkpoint: Checkpoint | None = Field(
        None,
        description="Resumes a lost attempt from its newest checkpoint; absent, the next attempt starts from scratch.",
    )


class Notify(Webhook):
    """A JSON document to a webhook; the host must be on the installation's list."""

    text: str | None = Field(None, max_length=2048, description="Sent as `text`; $(params.x) is replaced.")


class StepBasics(Schema):
    """The fields of all steps."""

    name: StepName = Field(description="The step's name.")
    description: str | None = Field(None, max_length=256, description="A description for users.")
    when: tuple[When, ...] = Field(
        (), max_length=4, description="Conditions that must all hold; else the step is skipped, with all that need it."
    )
    retry: Retry = Field(default_factory=Retry, description="How often it is retried.")
    timeout: Duration | None = Field(
        None,
        description="Maximum duration of one attempt. Defaults to that of the installation, 24h unless the chart's value steps.timeouts.training is another.",
    )
    resources: Resources = Field(default_factory=Resources, description="Resource requests and limits of its pod.")
    container: Container | None = Field(None, description="A container of any image.")
    notify: Notify | None = Field(None, description="A notification by webhook.")


class LastStep(StepBasics):
    """A step of finally: exactly one of container and notify."""

    model_config = model_rules(exactly_one_of("container", "notify"))

    def as_step(self) -> "Step":
        """As all steps are."""
        given = {name: getattr(self, name) for name in StepBasics.model_fields}
        return Step.model_construct(**given, cache="Never")


class Step(StepBasics):
    """One step: exactly one of prepare, train, evaluate, package, register, container, notify."""

    model_config = model_rules(exactly_one_of(*STEP_KINDS))

    depends_on: tuple[StepName, ...] = Field(
        (), max_length=9, description="Steps above that must have succeeded, in addition to those whose output it uses."
    )
    cache: Literal["Auto", "Never"] = Field(
        "Auto",
        description="Auto uses the outputs of an earlier run that did the same work on the same content; Never is for steps with side effects.",
    )
    max_age: Duration | None = Field(None, description="The greatest age of cached outputs.")
    placement: QueuedPlacement = Field(
        default_factory=QueuedPlacement, description="Scheduling constraints of its pod."
    )
    prepare: Prepare | None = Field(None, description="Prepares data by SQL.")
    train: Train | None = Field(None, description="Trains a model.")
    evaluate: Evaluate | None = Field(None, description="Evaluates a model, also by slice.")
    package: Package | None = Field(None, description="Converts a model.")
    register_: Register | None = Field(None, alias="register", description="Registers a model as a version.")

    @property
    def kind(self) -> str:
        """Which of the seven it is."""
        return next(
            kind for kind in STEP_KINDS if getattr(self, "register_" if kind == "register" else kind) is not None
        )

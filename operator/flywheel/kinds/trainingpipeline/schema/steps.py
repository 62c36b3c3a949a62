"""The steps of a pipeline. A step names only steps above it, so there can be no cycle."""

from typing import Annotated, Literal

from pydantic import Field

from flywheel.core.pods.distributed import Checkpoint, Distributed
from flywheel.core.resource.schema import (
    LIST_MAP_BY_NAME,
    PullSecret,
    Quantity,
    QueuedPlacement,
    Resources,
    Schema,
    SecretKey,
    Variable,
    exactly_one_of,
    model_rules,
    rule,
)
from flywheel.core.resource.values import Duration, Label, MetricName, Number, PatternString
from flywheel.kinds.experiment.schema.distributions import Parameter
from flywheel.kinds.experiment.schema.spec import ExperimentTemplate

MAX_STEPS = 200
MAX_ITEMS = 64
STEP_KINDS = ("prepare", "train", "evaluate", "package", "register", "container", "notify")
DATA, MODEL = ("prepare", "container"), ("train", "package", "container")  # which of them leave data, and which a model


class StepName(PatternString):
    """Short, since status and names of Jobs repeat it."""

    __slots__ = ()
    pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
    description = "a name of a-z, 0-9 and '-', with a letter or digit at both ends"
    max_length = 40


Argument = Annotated[str, Field(max_length=4096)]


class MetricOf(Schema):
    """A number that a step above reported."""

    step: StepName = Field(description="The step, above this one.")
    name: MetricName = Field(description="The metric, such as roc_auc.")


class When(Schema):
    """One condition: a parameter or a metric, and what it must be. Exactly one of parameter, metric, run."""

    model_config = model_rules(
        exactly_one_of("parameter", "metric", "run"),
        rule(
            "has(self.run) || has(self.min) || has(self.max) || has(self.values)",
            "say what it must be: min, max or values",
        ),
    )

    parameter: str | None = Field(None, max_length=40, description="A parameter of the pipeline.")
    metric: MetricOf | None = Field(None, description="A metric of a step above.")
    run: Literal["Succeeded", "Failed"] | None = Field(
        None, description="How the steps before finally ended; only for steps of finally."
    )
    min: Number | None = Field(None, description='The least value, such as "0.6".')
    max: Number | None = Field(None, description="The greatest value.")
    values: tuple[Annotated[str, Field(max_length=256)], ...] | None = Field(
        None, min_length=1, max_length=16, description='One of these, written as strings: ["3", "6"].'
    )


class Retry(Schema):
    """How often a step is tried again, by what was to blame."""

    user: int = Field(0, ge=0, le=10, description="After a failure of the step's own code.")
    out_of_memory: int = Field(
        0, ge=0, le=5, description="After it needed more memory than its limit, each time with twice the memory."
    )
    infrastructure: int = Field(
        5, ge=0, le=20, description="After a lost node, an eviction, a store that did not answer."
    )


class Prepare(Schema):
    """A query over data, in DuckDB's SQL. Each input is a table by its name, with a column flywheel_split that says train, validation or test."""

    from_: tuple[StepName, ...] = Field(
        alias="from", min_length=1, max_length=8, description="Inputs of the pipeline, or steps above that leave data."
    )
    sql: str | None = Field(
        None,
        max_length=16384,
        description="One SELECT. $(params.x) and $(run.date) are bound as values, never pasted. With flywheel_split in its result rows stay where they were; else they are divided anew. Absent, all rows of the only table.",
    )


class Train(ExperimentTemplate):
    """A search or a plain training, as an Experiment."""

    from_: StepName = Field(alias="from", description="An input of the pipeline, or a step above that leaves data.")


class Evaluate(Schema):
    """Metrics on the test rows, whole and by slices, and curves."""

    from_: StepName = Field(alias="from", description="The step above that leaves the model.")
    data: StepName | None = Field(
        None, description="Whose test rows: an input or a step above; absent, the data that the model was trained on."
    )
    by: tuple[Annotated[str, Field(min_length=1, max_length=128)], ...] = Field(
        (), max_length=8, description="Columns whose values make slices."
    )
    metric: MetricName | None = Field(None, description="The metric of slices; absent, the one that was trained for.")


class Package(Schema):
    """Another form of the same model."""

    from_: StepName = Field(alias="from", description="The step above that leaves the model.")
    quantize: Literal["Dynamic"] = Field(
        description="Dynamic: weights of products of matrices become int8; what that costs is measured."
    )


class Register(Schema):
    """The model becomes a version of a Model, whose gates decide about it."""

    from_: StepName = Field(alias="from", description="The step above that leaves the model.")
    model: Label = Field(description="The Model; made if there is none.")


class InputOf(Schema):
    """What a container finds in /flywheel/inputs/<name>/."""

    name: Label = Field(description="The folder's name.")
    from_: StepName = Field(alias="from", description="An input of the pipeline, or a step above.")
    output: Label | None = Field(
        None,
        description="Which output of that step; absent, its only one, or the one called model or data. Of a step with forEach it is that of every item, in the folders <name>-0, <name>-1, …",
    )


class ForEach(Schema):
    """The same work for each of several sets of parameters, in pods of one Job."""

    items: tuple[Annotated[dict[str, Parameter], Field(max_length=16)], ...] = Field(
        min_length=1,
        max_length=MAX_ITEMS,
        description="What each adds to the step's parameters; $(params.x) is replaced. An output `part` of the item 3 (the first is 0) is the step's output part-3; metrics are the means over all items.",
    )
    parallelism: int = Field(4, ge=1, le=MAX_ITEMS, description="Items that are worked on at the same time.")


class Container(Schema):
    """Any image and language, by the file contract."""

    model_config = model_rules(
        rule("!(has(self.forEach) && has(self.distributed))", "give forEach or distributed, not both")
    )

    image: str = Field(
        min_length=1,
        max_length=1024,
        description="The image; only one named by digest (image@sha256:…) can be taken from the cache.",
    )
    command: tuple[Argument, ...] = Field((), max_length=32, description="The command; absent, the image's entrypoint.")
    args: tuple[Argument, ...] = Field((), max_length=64, description="Its arguments; $(params.x) is replaced.")
    env: tuple[Variable, ...] = Field(
        (),
        max_length=32,
        description="Environment variables, written out or from Secrets.",
        json_schema_extra=LIST_MAP_BY_NAME,
    )
    parameters: dict[str, Parameter] = Field(
        default_factory=dict, max_length=64, description="Written to params.json; $(params.x) is replaced."
    )
    inputs: tuple[InputOf, ...] = Field(
        (), max_length=8, description="What it works on.", json_schema_extra=LIST_MAP_BY_NAME
    )
    outputs: tuple[Label, ...] = Field(
        (),
        max_length=8,
        description="Folders that it must leave in /flywheel/outputs/.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    model_path: str = Field(
        "model.onnx",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$",
        max_length=256,
        description="The model's file in the output called model.",
    )
    shared_memory: Quantity | None = Field(None, description="Size of /dev/shm, such as 8Gi.")
    image_pull_secrets: tuple[PullSecret, ...] = Field((), max_length=8, description="Secrets to pull the image with.")
    for_each: ForEach | None = Field(None, description="The same work for several sets of parameters.")
    distributed: Distributed | None = Field(
        None, description="One piece of work in several pods; absent, it is one pod."
    )
    checkpoint: Checkpoint | None = Field(
        None, description="A lost attempt goes on from its newest checkpoint; absent, the next begins anew."
    )


class Notify(Schema):
    """A JSON document to a webhook; the host must be on the installation's list."""

    model_config = model_rules(exactly_one_of("url", "secret"))

    url: str | None = Field(None, pattern=r"^https?://.+$", max_length=2048, description="The address.")
    secret: SecretKey | None = Field(None, description="A Secret that holds the address, where it contains a token.")
    text: str | None = Field(None, max_length=2048, description="Sent as `text`; $(params.x) is replaced.")


class StepBasics(Schema):
    """What all steps may say."""

    name: StepName = Field(description="The step's name.")
    description: str | None = Field(None, max_length=256, description="What it is for.")
    when: tuple[When, ...] = Field(
        (), max_length=4, description="All of these must be so, else the step is skipped, and all that needs it."
    )
    retry: Retry = Field(default_factory=Retry, description="How often it is tried again.")
    timeout: Duration | None = Field(None, description="How long one attempt may take.")
    resources: Resources = Field(default_factory=Resources, description="What its pod asks for and may use.")
    container: Container | None = Field(None, description="Any image and language.")
    notify: Notify | None = Field(None, description="Tell somebody.")


class LastStep(StepBasics):
    """One step of finally: exactly one of container, notify."""

    model_config = model_rules(exactly_one_of("container", "notify"))

    def as_step(self) -> "Step":
        """As all steps are."""
        given = {name: getattr(self, name) for name in StepBasics.model_fields}
        return Step.model_construct(**given, cache="Never")


class Step(StepBasics):
    """One step: exactly one of prepare, train, evaluate, package, register, container, notify."""

    model_config = model_rules(exactly_one_of(*STEP_KINDS))

    depends_on: tuple[StepName, ...] = Field(
        (),
        max_length=9,
        description="Steps above that must have ended well, besides those that it takes something from.",
    )
    cache: Literal["Auto", "Never"] = Field(
        "Auto",
        description="Auto: where the same work on the same content was done before, its outputs are taken. Never: for steps with side effects.",
    )
    max_age: Duration | None = Field(None, description="How old work may be that is taken from the cache.")
    placement: QueuedPlacement = Field(default_factory=QueuedPlacement, description="Where its pod may run.")
    prepare: Prepare | None = Field(None, description="Data from data, by SQL.")
    train: Train | None = Field(None, description="A model from data.")
    evaluate: Evaluate | None = Field(None, description="What a model is worth, by slices.")
    package: Package | None = Field(None, description="Another form of a model.")
    register_: Register | None = Field(None, alias="register", description="A model becomes a version.")

    @property
    def kind(self) -> str:
        """Which of the seven it is."""
        return next(
            kind for kind in STEP_KINDS if getattr(self, "register_" if kind == "register" else kind) is not None
        )

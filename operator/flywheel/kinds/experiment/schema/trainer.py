"""How a user writes what a trial runs."""

from typing import Any, Literal

from pydantic import Field

from flywheel.core.pods.source_file import MAX_SOURCE_BYTES, SOURCE_PATH
from flywheel.core.resource.schema import (
    Argument,
    ColumnName,
    ImageName,
    ModelPath,
    Schema,
    Variable,
    exactly_one_of,
    model_rules,
    named_list,
    one_of,
    rule,
    validations,
)
from flywheel.kinds.experiment.schema.distributions import Distribution, Parameter, parameter_name_rule

MAX_SEARCHED_PARAMETERS = 16

_FIXED_OR_SEARCHED = rule(
    "!has(self.parameters) || !has(self.search) || !self.search.exists(p, p in self.parameters)",
    "a parameter must be either in parameters or in search, not in both",
)


# Those of the runtime image (models/estimators.py): each is exported to ONNX with the same predictions.
SUPPORTED_ESTIMATORS = (
    "DecisionTreeClassifier", "DecisionTreeRegressor", "ElasticNet", "ExtraTreesClassifier", "ExtraTreesRegressor",
    "GaussianNB", "GradientBoostingClassifier", "GradientBoostingRegressor", "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor", "Lasso", "LinearRegression", "LogisticRegression", "MLPClassifier", "MLPRegressor",
    "RandomForestClassifier", "RandomForestRegressor", "Ridge", "VotingClassifier", "VotingRegressor",
)  # fmt: skip


# What a name that is not supported has in common with supported ones, in lower case; the first that fits is suggested.
_NEAREST = {
    "voting": "Voting",
    "ensemble": "Voting",
    "stack": "Voting",
    "boost": "HistGradientBoosting",
    "xgb": "HistGradientBoosting",
    "lgbm": "HistGradientBoosting",
    "hist": "HistGradientBoosting",
    "extra": "ExtraTrees",
    "forest": "RandomForest",
    "random": "RandomForest",
    "tree": "DecisionTree",
    "mlp": "MLP",
    "bayes": "GaussianNB",
    "nb": "GaussianNB",
    "logi": "LogisticRegression",
    "sgdc": "LogisticRegression",
    "ridge": "Ridge",
    "lasso": "Lasso",
    "elastic": "ElasticNet",
    "linear": "LinearRegression",
}


def _supported_estimator() -> dict[str, Any]:
    """The rule that an estimator is supported. The message names the nearest ones, or else all; CEL bounds its cost, so it compares no names."""
    suggestion = f"'choose one of {', '.join(SUPPORTED_ESTIMATORS)}'"
    for part, family in reversed(_NEAREST.items()):
        names = [name for name in SUPPORTED_ESTIMATORS if name in (family, f"{family}Classifier", f"{family}Regressor")]
        found = f"'did you mean {' or '.join(names)}?'"
        suggestion = f"self.name.lowerAscii().contains('{part}') ? {found} : ({suggestion})"
    message = f"estimator is not supported; choose one of {', '.join(SUPPORTED_ESTIMATORS)}"
    refusal = f"'estimator ' + self.name + ' is not supported; ' + ({suggestion})"
    return {**rule(f"self.name in {list(SUPPORTED_ESTIMATORS)!r}", message), "messageExpression": refusal}


class Features(Schema):
    """The columns to learn from, by the way they are prepared."""

    numeric: tuple[ColumnName, ...] = Field(
        (),
        max_length=500,
        description="Columns that are treated as numeric, and timestamps, which are learnt as microseconds since 1970.",
    )
    categorical: tuple[ColumnName, ...] = Field(
        (),
        max_length=500,
        description="Columns that are treated as categorical. A text with more than 256 values is encoded by their mean target; of numbers and identifiers the 256 most frequent values are categories.",
    )
    text: tuple[ColumnName, ...] = Field(
        (),
        max_length=50,
        description="Columns of sentences, which are learnt as the weights of their words and pairs of words. Without features, the columns that the Dataset's profile calls FreeText.",
    )


class Estimator(Schema):
    """A scikit-learn estimator with its fixed parameters and its search space."""

    model_config = model_rules(_FIXED_OR_SEARCHED, _supported_estimator())

    name: str = Field(
        pattern=r"^[A-Z][A-Za-z0-9]*$",
        max_length=63,
        description=f"Class name of the estimator in scikit-learn, one of {', '.join(SUPPORTED_ESTIMATORS)}. VotingClassifier and VotingRegressor average HistGradientBoosting, ExtraTrees and MLP, whose parameters begin with boosting__, forest__ and network__.",
    )
    parameters: dict[str, Parameter] = Field(
        default_factory=dict,
        max_length=32,
        description='Fixed parameters. A JSON number, Boolean, null, string or array in a string is that value: "1.0", "null", "[64, 32]"; any other string is text: "balanced".',
        json_schema_extra=parameter_name_rule(),
    )
    search: dict[str, Distribution] = Field(
        default_factory=dict,
        max_length=MAX_SEARCHED_PARAMETERS,
        description="Parameters to search, each with its distribution.",
        json_schema_extra=parameter_name_rule(),
    )


class SklearnTrainer(Schema):
    """A scikit-learn pipeline, exported to ONNX. All of it may be left out: then it follows from the data."""

    task: Literal["Classification", "Regression"] | None = Field(
        None, description="Defaults to the task that follows from the target."
    )
    features: Features | None = Field(
        None, description="Defaults to all columns except target, keys, eventTime and the column of groups, by type."
    )
    estimators: tuple[Estimator, ...] = named_list(
        8, "Estimators to try, each with its own search space. Defaults to the preset Tabular."
    )


class ContainerModel(Schema):
    """Where the container leaves its model."""

    path: ModelPath = Field(
        "model.onnx",
        description="The file below /flywheel/outputs/model/.",
        json_schema_extra=validations(
            rule("!self.split('/').exists(part, part == '..')", "path must stay inside the output; remove '..'")
        ),
    )
    format: Literal["ONNX"] = Field("ONNX", description="The file's format.")


class ContainerTrainer(Schema):
    """Any image and language: reads /flywheel/params.json and /flywheel/inputs/data/, writes /flywheel/outputs/."""

    model_config = model_rules(
        _FIXED_OR_SEARCHED,
        rule("has(self.image) || has(self.source)", "give image; only with source it defaults to the runtime image"),
        rule(
            f"!has(self.source) || !has(self.command) || self.command.size() == 0 || '{SOURCE_PATH}' in self.command || has(self.args) && '{SOURCE_PATH}' in self.args",
            f"command does not run the source; remove command, or add the argument {SOURCE_PATH}",
        ),
    )

    image: ImageName | None = Field(
        None,
        description="Image of the trainer. Use a digest for reproducible runs. With source, it defaults to the runtime image of the installation.",
    )
    source: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_SOURCE_BYTES,
        description=f"Python source of the trainer, at most 256 KiB, as the read-only file {SOURCE_PATH}. Without command, the image's python3 runs it.",
    )
    command: tuple[Argument, ...] = Field(
        (),
        max_length=64,
        description="Command of the container. Defaults to running source, else to the image's entrypoint.",
    )
    args: tuple[Argument, ...] = Field((), max_length=256, description="Its arguments.")
    env: tuple[Variable, ...] = named_list(48, "Environment variables, given as values or taken from Secrets.")
    parameters: dict[str, Parameter] = Field(
        default_factory=dict,
        max_length=64,
        description='Fixed parameters, written to params.json. A JSON number, Boolean, null, string or array in a string is that value: "0.1", "null", "[64, 32]"; any other string is text: "adamw".',
        json_schema_extra=parameter_name_rule(),
    )
    search: dict[str, Distribution] = Field(
        default_factory=dict,
        max_length=MAX_SEARCHED_PARAMETERS,
        description="Parameters to search, written to params.json with the fixed ones. Without it, the Experiment is a single training.",
        json_schema_extra=parameter_name_rule(),
    )
    model: ContainerModel | None = Field(
        None, description="Model file that the container writes. Required by register."
    )


class Trainer(Schema):
    """What a trial runs: exactly one of sklearn, container."""

    model_config = model_rules(exactly_one_of("sklearn", "container"))

    sklearn: SklearnTrainer | None = Field(None, description="A scikit-learn pipeline, exported to ONNX.")
    container: ContainerTrainer | None = Field(
        None, description="An image in any language that follows the contract for files (images/README.md)."
    )

    @property
    def implementation(self) -> SklearnTrainer | ContainerTrainer:
        """The one that is given."""
        return one_of(self.sklearn, self.container)


def source_rules() -> tuple[dict[str, Any], ...]:
    """The rules of an Experiment's source, whose cost is too high for each of the 200 steps that a pipeline may have."""
    has_source, source = (
        "has(self.trainer.container) && has(self.trainer.container.source)",
        "self.trainer.container.source",
    )
    return (
        rule(
            f"!({has_source}) || bytes({source}).size() <= {MAX_SOURCE_BYTES}",
            "trainer.container.source must have at most 262144 bytes (256 KiB) in UTF-8; put a larger program into the image",
        ),
        rule(
            f"!({has_source}) || {source}.matches('[^ \\t\\r\\n]')",
            "trainer.container.source is empty; write a program, or remove source",
        ),
    )


class Code(Schema):
    """The code of the trainer, as its repository has it; it is recorded and not read."""

    revision: str = Field(
        pattern=r"^[0-9A-Za-z][0-9A-Za-z._/-]*$",
        max_length=64,
        description="Commit of the code. It becomes spec.lineage.gitRevision of the ModelVersion, and the variable FLYWHEEL_GIT_REVISION of each trial.",
    )
    repository: str | None = Field(
        None, max_length=512, description="URL of the repository, such as https://git.example/team/models."
    )

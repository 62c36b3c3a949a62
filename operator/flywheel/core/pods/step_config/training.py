"""The steps that make a version, and the comparison of a reproduced run."""

from typing import Any, Literal

from flywheel.core.pods.step_config.config import StepConfig


class TrainConfig(StepConfig):
    """`params.json` of train; `features` None: every usable column. `rowwise` maps features to SQL over columns of one row."""

    estimator: str
    parameters: dict[str, Any]
    task: Literal["Classification", "Regression"] | None
    features: dict[Literal["numeric", "categorical", "text"], tuple[str, ...]] | None
    objective: dict[Literal["metric"], str]
    validation: dict[Literal["folds"], int] | dict[Literal["holdout"], Literal["Validation"]]
    seed: int
    curve: bool = False
    rowwise: dict[str, str] | None = None


class PrepareConfig(StepConfig):
    """`params.json` of prepare; `sample` is the fraction of the rows to use, None for all. `feature_sets` add columns to the result."""

    tables: tuple[str, ...]
    sql: str | None
    parameters: dict[str, Any]
    run: dict[Literal["date"], str]
    sample: str | None
    seed: int
    feature_sets: tuple[dict[Literal["name", "digest", "input", "tables"], Any], ...] = ()


class EvaluateConfig(StepConfig):
    """`params.json` of evaluate; `metric` None: the usual one of the task."""

    by: tuple[str, ...]
    metric: str | None
    path: str


class PackageConfig(StepConfig):
    """`params.json` of package."""

    path: str
    quantize: Literal["Dynamic"] | None


class CompareConfig(StepConfig):
    """`params.json` of compare; `tolerance` is relative to the greater value."""

    left_metrics: dict[str, float]
    right_metrics: dict[str, float]
    tolerance: float

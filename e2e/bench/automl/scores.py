"""How good predictions are, by one function for all, and the table of the results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flywheel_runtime.statistics.metrics import LESS_IS_BETTER, ScoredRows, metric_value

METRIC_OF_TASK = {"Classification": "roc_auc", "Regression": "rmse"}
OURS = "Flywheel"
SCORE, SECONDS = "score", "seconds"  # how the figures of a result end in results/automl.json


@dataclass(frozen=True)
class Predictions:
    """For each row of the test split a value (rows,), or the probabilities (rows, classes) of `classes`, by the text of their labels."""

    values: "np.ndarray[Any, Any]"
    classes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> "Predictions":
        """Parse what a peer wrote: {"classes": [...], "values": [...]}."""
        return cls(np.array(found["values"], np.float64), tuple(found["classes"]))


@dataclass(frozen=True)
class Result:
    """What one of those compared made of a table: its score on the test split, the seconds that its search took, and its best model."""

    score: float
    seconds: float
    model: str = ""
    version: str = ""  # of a peer


def score(truth: Sequence[Any], predictions: Predictions) -> float:
    """ROC AUC (with more than two classes the mean of each against the rest), or RMSE where there are no classes.

    Raises:
        ValueError: a row is without a prediction, or a prediction is not finite.
    """
    values = predictions.values
    if len(values) != len(truth) or not np.isfinite(values).all():
        raise ValueError(f"{len(truth)} rows need as many finite predictions, not {values.shape}")
    if not predictions.classes:
        return metric_value("rmse", ScoredRows(np.array(truth, np.float64), values.ravel(), np.empty((len(truth), 0))))
    labels = [str(each) for each in truth]
    classes = sorted({*labels, *predictions.classes})
    numbers = {label: number for number, label in enumerate(classes)}
    probabilities = np.zeros((len(truth), len(classes)))
    probabilities[:, [numbers[label] for label in predictions.classes]] = values
    y_true = np.array([numbers[label] for label in labels])
    return metric_value("roc_auc", ScoredRows(y_true, probabilities.argmax(axis=1), probabilities))


def parse_scores(figures: Mapping[str, float]) -> dict[str, Result]:
    """Parse the figures of one table in results/automl.json; the models and versions are in the report of its run alone."""
    names = [each.removesuffix(f"_{SCORE}") for each in figures if each.endswith(f"_{SCORE}")]
    return {name: Result(figures[f"{name}_{SCORE}"], figures[f"{name}_{SECONDS}"]) for name in names}


def ratio(results: Mapping[str, Result], metric: str) -> float:
    """Our share of the quality of the better peer: above 1, ours is better."""
    peers = [each.score for name, each in results.items() if name != OURS]
    ours = results[OURS].score
    return min(peers) / ours if metric in LESS_IS_BETTER else ours / max(peers)


def format_results(found: Mapping[str, Mapping[str, Result]], metrics: Mapping[str, str]) -> str:
    """Markdown: a line for each table with the scores and the seconds of all."""
    names = list(next(iter(found.values())))
    lines = [
        f"| table | metric | {' | '.join(names)} | ratio to the better peer | seconds | best models |",
        "|---|---|" + "---|" * (len(names) + 3),
    ]
    for table, results in found.items():
        scores = " | ".join(f"{each.score:.4g}" for each in results.values())
        models = " / ".join(each.model for each in results.values())
        seconds = " / ".join(f"{each.seconds:.0f}" for each in results.values())
        lines.append(
            f"| {table} | {metrics[table]} | {scores} | {ratio(results, metrics[table]):.4f} | {seconds} | {models} |"
        )
    return "\n".join(lines) + "\n"

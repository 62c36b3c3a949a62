"""Both models' answers to logged rows: the champion's as they were logged, and those of rows that another version answered anew."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flywheel_runtime.commands.gates.traffic.model_answers import AnsweringModel, Answers, ClassCodes, as_input
from flywheel_runtime.commands.gates.traffic.request_log import Champion, LoggedColumns, RequestLog, RowBatch
from flywheel_runtime.models.golden_rows import Tensors
from flywheel_runtime.models.output_names import PREDICTION, PROBABILITIES
from flywheel_runtime.statistics.metrics import Array

CALL_ROWS = 2_048  # of one call of a model: more need more memory and are no faster (measured)


@dataclass(frozen=True)
class AnsweredBatch:
    """Rows with the answers of both; rows that the champion cannot answer are left out."""

    batch: RowBatch
    champion: Answers
    challenger: Answers


@dataclass
class ReplayCounts:
    """What became of the `drawn` rows. `left_out` counts those without a column that a model takes, by that column.

    `seconds` is how long the challenger computed.
    """

    drawn: int = 0
    rows: int = 0
    logged_answers: int = 0
    recomputed_answers: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


@dataclass(frozen=True)
class Models:
    """The two versions that answer."""

    champion: AnsweringModel
    challenger: AnsweringModel
    codes: ClassCodes
    version: Champion

    @classmethod
    def read(cls, champion: Path, challenger: Path, version: Champion) -> "Models":
        """The models of two artifacts. Raises Unmeasurable."""
        codes = ClassCodes(())
        before = AnsweringModel.read(f"champion '{version.version}'", champion, codes)
        after = AnsweringModel.read("the version", challenger, codes)
        codes.encode_names((*before.classes, *after.classes))
        return cls(before, after, codes, version)

    @property
    def predicts_values(self) -> bool:
        """Whether the champion predicts values."""
        return PREDICTION in self.champion.roles

    def columns(self, by: str | None = None) -> LoggedColumns:
        """What is read of each logged row."""
        features = dict.fromkeys((*self.challenger.inputs, *self.champion.inputs))
        widths = {role: len(self.champion.classes) if role == PROBABILITIES else 1 for role in self.champion.roles}
        outputs = {name: widths[role] for role, name in self.champion.roles.items()}
        return LoggedColumns(tuple(features), outputs, by)


def answer_rows(
    models: Models,
    log: RequestLog,
    counts: ReplayCounts,
    columns: LoggedColumns,
    share: float = 1.0,
    joined: str = "",
    further: Sequence[str] = (),
) -> Iterator[AnsweredBatch]:
    """The rows of the log with both answers. Raises Unmeasurable."""
    for batch in log.batches(columns, models.version, share, joined, further):
        counts.drawn += len(batch)
        missing = next((name for name in models.challenger.inputs if name not in batch.features), None)
        if missing is not None:
            counts.left_out[missing] += len(batch)
            continue
        answered = _with_champion(models, batch, counts)
        if answered is None:
            continue
        rows, champion = answered
        start = time.perf_counter()
        challenger = _compute(models.challenger, rows.features)
        counts.seconds += time.perf_counter() - start
        counts.rows += len(rows)
        yield AnsweredBatch(rows, champion, challenger)


def _with_champion(models: Models, batch: RowBatch, counts: ReplayCounts) -> tuple[RowBatch, Answers] | None:
    """The rows that the champion answered, or can answer, with its answers; None where there are none."""
    others = np.flatnonzero(~batch.is_champion)
    missing = next((name for name in models.champion.inputs if name not in batch.features), None)
    if len(others) and missing is not None:
        counts.left_out[missing] += len(others)
        batch, others = batch.take(np.flatnonzero(batch.is_champion)), others[:0]
    if not len(batch):
        return None
    counts.recomputed_answers += len(others)
    counts.logged_answers += len(batch) - len(others)
    if len(others) == len(batch):
        return batch, _compute(models.champion, batch.features)
    logged = models.champion.interpret(batch.outputs)
    if not len(others):
        return batch, logged
    return batch, logged.replace(others, _compute(models.champion, batch.take_features(others)))


def _compute(model: AnsweringModel, features: Tensors) -> Answers:
    """The model's answers to these rows, some at a time. Raises Unmeasurable."""
    inputs = {name: as_input(declared, features[name]) for name, declared in model.inputs.items()}
    rows = len(next(iter(inputs.values())))
    return model.compute(inputs, min(rows, CALL_ROWS))


def join_answers(parts: Sequence[Answers]) -> Answers:
    """The answers to all rows."""
    decided: Array = np.concatenate([each.decided for each in parts])
    return Answers(decided, np.concatenate([each.scores for each in parts]), parts[0].score_codes)

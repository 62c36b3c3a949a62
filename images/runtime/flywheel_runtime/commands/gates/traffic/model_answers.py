"""What a model decides for rows: the class or the value, and the scores of the classes; computed by it, or as the log has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from flywheel_runtime.contract.errors import Failure, Unmeasurable
from flywheel_runtime.models.golden_rows import Tensors, dtype_of, run_session
from flywheel_runtime.models.onnx_model import OnnxModel
from flywheel_runtime.models.output_names import LABEL, PREDICTION, PROBABILITIES, find_output
from flywheel_runtime.statistics.metrics import Array

UNKNOWN = -1  # the code of no class
MAX_SPAN = 100_000


class ClassCodes:
    """The classes that both models know, by number: those of the champion first."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(dict.fromkeys(names))
        self._codes = {name: code for code, name in enumerate(self.names)}

    def encode(self, labels: Array) -> Array:
        """The codes (rows,) of labels (rows,), which are texts or numbers; a class that was not known gets the next code."""
        if labels.dtype.kind in "OU":
            return np.array([self._code(str(each)) for each in labels.tolist()], np.int64)
        distinct, number = _number_labels(labels)
        return np.array([self._code(_class_text(each)) for each in distinct.tolist()], np.int64)[number]

    def encode_names(self, names: Sequence[str]) -> Array:
        """The codes of the classes of one model's scores."""
        return np.array([self._code(each) for each in names], np.int64)

    def _code(self, name: str) -> int:
        if name not in self._codes:
            self._codes[name] = len(self.names)
            self.names.append(name)
        return self._codes[name]


def _number_labels(labels: Array) -> tuple[Array, Array]:
    """As np.unique with the inverse; labels that are close whole numbers, as most are, are counted in place of hashed."""
    is_whole = labels.dtype.kind in "iu" and labels.dtype != np.uint64
    if not is_whole or not len(labels) or int(labels.max()) - int(labels.min()) > MAX_SPAN:
        return np.unique(labels, return_inverse=True)
    least = int(labels.min())
    offsets = labels.astype(np.int64) - least
    distinct = np.flatnonzero(np.bincount(offsets))
    numbers = np.zeros(int(distinct[-1]) + 1, np.int64)
    numbers[distinct] = np.arange(len(distinct))
    return distinct + least, numbers[offsets]


@dataclass(frozen=True)
class Answers:
    """Answers to rows. `decided` (rows,) are codes of classes, or values; `scores` (rows, classes) are empty without probabilities.

    `score_codes` are the codes of the scores' columns.
    """

    decided: Array
    scores: Array
    score_codes: Array = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.decided)

    @property
    def is_classification(self) -> bool:
        return self.decided.dtype.kind == "i"

    @property
    def is_finite(self) -> Array:
        """Which rows (rows,) have a finite answer."""
        known = self.decided != UNKNOWN if self.is_classification else np.isfinite(self.decided)
        return np.asarray(known & np.isfinite(self.scores).all(axis=1))

    def replace(self, rows: Array, others: Self) -> "Answers":
        """These answers with those of `others` for some rows, by their numbers."""
        decided, scores = self.decided.copy(), self.scores.copy()
        decided[rows], scores[rows] = others.decided, others.scores
        return Answers(decided, scores, self.score_codes)


@dataclass(frozen=True)
class AnsweringModel:
    """A model with the outputs that decide: a label or probabilities, else a prediction, else its only output."""

    name: str
    model: OnnxModel
    codes: ClassCodes
    roles: Mapping[str, str]
    classes: tuple[str, ...] = ()

    @classmethod
    def read(cls, name: str, artifact: Path, codes: ClassCodes) -> Self:
        """The model of an artifact. Raises Unmeasurable where it cannot be loaded, or nothing says which output decides."""
        try:
            model = OnnxModel.read(artifact)
        except Failure as error:
            raise Unmeasurable(f"{name} cannot be loaded: {error.message}") from error
        outputs = {each.name: each for each in model.session.get_outputs()}
        found = {role: find_output(outputs, role) for role in (LABEL, PROBABILITIES, PREDICTION)}
        roles = {role: output for role, output in found.items() if output is not None}
        if not roles:
            roles = _only_output(name, outputs)
        classes: Sequence[Any] = model.signature.get("classes") or ()
        if PROBABILITIES in roles and not classes:
            width = outputs[roles[PROBABILITIES]].shape[-1]
            classes = range(width) if isinstance(width, int) else ()
        return cls(name, model, codes, roles, tuple(map(str, classes)))

    @property
    def inputs(self) -> dict[str, Any]:
        """Its declared inputs by name."""
        return {each.name: each for each in self.model.session.get_inputs()}

    def compute(self, inputs: Tensors, rows_of_a_call: int = 1) -> Answers:
        """The answers to rows as the model takes them, so many at a time. Raises Unmeasurable."""
        rows = len(next(iter(inputs.values())))
        try:
            parts = [
                run_session(self.model.session, {name: each[at : at + rows_of_a_call] for name, each in inputs.items()})
                for at in range(0, rows, rows_of_a_call)
            ]
            if len(parts) == 1:
                return self.interpret(parts[0])
            return self.interpret(
                {name: np.concatenate([part[name] for part in parts]) for name in self.roles.values()}
            )
        except (Failure, ValueError, KeyError, IndexError) as error:
            raise Unmeasurable(f"{self.name} does not answer the logged rows: {error}") from error

    def interpret(self, outputs: Mapping[str, Array]) -> Answers:
        """The answers in outputs (rows, …) by name, computed or logged."""
        if PREDICTION in self.roles:
            values = np.asarray(outputs[self.roles[PREDICTION]])
            decided = values.reshape(len(values), -1)[:, 0].astype(np.float64)
            return Answers(decided, np.empty((len(values), 0)))
        scores = np.asarray(outputs[self.roles[PROBABILITIES]]) if PROBABILITIES in self.roles else None
        if scores is not None and scores.shape[1:] != (len(self.classes),):
            raise ValueError(f"its probabilities have the shape {list(scores.shape)} for {len(self.classes)} classes")
        codes = self.codes.encode_names(self.classes) if scores is not None else np.empty(0, np.int64)
        if LABEL in self.roles:
            decided = self.codes.encode(np.asarray(outputs[self.roles[LABEL]]).reshape(-1))
        else:
            assert scores is not None, "a model without a label or a value has scores"
            decided = codes[np.nan_to_num(scores, nan=-np.inf).argmax(axis=1)]
        return Answers(decided, np.empty((len(decided), 0)) if scores is None else scores, codes)

    def describe(self, answers: Answers, row: int) -> dict[str, Any]:
        """One answer as JSON: the class with its scores, or the value."""
        if not answers.is_classification:
            return {"value": float(answers.decided[row])}
        code = int(answers.decided[row])
        scores = {
            self.codes.names[int(of)]: float(each)
            for of, each in zip(answers.score_codes, answers.scores[row], strict=True)
        }
        return {"class": self.codes.names[code] if code != UNKNOWN else None, **({"scores": scores} if scores else {})}


def as_input(declared: Any, values: Array) -> Array:
    """Logged values (rows, …) as a model's declared input. Raises Unmeasurable where it takes text and they are numbers, or the reverse."""
    wants_text, is_text = declared.type == "tensor(string)", values.dtype.kind == "O"
    if wants_text != is_text:
        found, wanted = ("text", "numbers") if is_text else ("numbers", "text")
        raise Unmeasurable(
            f"the log has {found} for its input '{declared.name}', which takes {wanted}; hashed columns are text: "
            "remove the column from spec.logging.columns of the InferenceService, or wait until the window has other rows"
        )
    with np.errstate(invalid="ignore"):
        typed = values if wants_text else values.astype(dtype_of(declared.type), copy=False)
    if len(declared.shape) < 2:
        return np.ascontiguousarray(typed.reshape(len(typed)))
    tail = [axis if isinstance(axis, int) and axis > 0 else -1 for axis in declared.shape[1:]]
    return np.ascontiguousarray(typed.reshape(len(typed), *(tail if tail.count(-1) < 2 else values.shape[1:])))


def differ(champion: Answers, challenger: Answers, classes: int) -> tuple[Array, Array]:
    """Whether each decision differs (rows,), and by how much: the largest difference of a class's score, or that of the values.

    An answer of one side that is not finite differs infinitely. Without scores another class is a difference of 1. Values have no
    decision: whether theirs differ too much is decided by all of them.
    """
    if champion.is_classification != challenger.is_classification:
        raise Unmeasurable(
            "one of the versions predicts classes and the other one values; correct spec.gates, or name the version in spec.champion"
        )
    if champion.is_classification:
        flips = champion.decided != challenger.decided
        if champion.scores.shape[1] and challenger.scores.shape[1]:
            difference = np.abs(spread_scores(champion, classes) - spread_scores(challenger, classes)).max(axis=1)
        else:
            difference = flips.astype(np.float64)
    else:
        difference = np.abs(challenger.decided - champion.decided)
        flips = np.zeros(len(difference), bool)
    one_sided = champion.is_finite != challenger.is_finite
    neither = ~champion.is_finite & ~challenger.is_finite
    return np.where(neither, False, flips | one_sided), np.where(neither, 0.0, np.where(one_sided, np.inf, difference))


def spread_scores(answers: Answers, classes: int) -> Array:
    """The scores (rows, classes) in the order of the codes; a class that the model does not have has 0."""
    if np.array_equal(answers.score_codes, np.arange(classes)):
        return answers.scores
    spread = np.zeros((len(answers), classes), answers.scores.dtype)
    spread[:, answers.score_codes] = answers.scores
    return spread


def _only_output(name: str, outputs: Mapping[str, Any]) -> dict[str, str]:
    """A single output of one number is a value, and of several the scores of classes."""
    if len(outputs) == 1:
        [(output, declared)] = outputs.items()
        if "float" in declared.type or "double" in declared.type:
            is_scores = len(declared.shape) == 2 and isinstance(declared.shape[1], int) and declared.shape[1] > 1
            return {PROBABILITIES if is_scores else PREDICTION: output}
        return {LABEL: output}
    raise Unmeasurable(
        f"{name} has the outputs {', '.join(outputs)[:200]}, and none is called label, probabilities or prediction; "
        "name the one that decides so when you export the model"
    )


def _class_text(label: Any) -> str:
    """A number's class: 1.0 and true are that of 1."""
    number = float(label)
    return str(int(number)) if number.is_integer() else str(label)

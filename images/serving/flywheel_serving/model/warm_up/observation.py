"""What a model returns for one row and for three: these shapes count, whatever its file declares."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from time import monotonic

import numpy as np

from flywheel_serving.errors import RequestError
from flywheel_serving.model.datatypes import Array
from flywheel_serving.model.golden_rows import InputRows, replay
from flywheel_serving.model.loaded_model import LoadedModel
from flywheel_serving.model.signature import Signature, TensorSpec
from flywheel_serving.model.warm_up.synthetic_rows import synthetic_rows

SEVERAL_ROWS = 3
MAX_ACCEPTED = 2  # synthetic calls of other values, since an output's length may depend on them
TRY_SECONDS = 60.0  # for all synthetic rows together

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ObservedCall:
    """`rows` is None where the model has no row axis; `shapes` of the outputs by name."""

    rows: int | None
    shapes: dict[str, Shape]


@dataclass(frozen=True)
class Observation:
    """`signature` has the observed outputs, without those that have no row for each row (`left_out`).

    Where all are such, it has them all, and `has_rows` is false. `rows` is a call that the model takes, None if no synthetic
    one was accepted. `finding` says which rows the model refused, and which outputs are left out; empty if none.
    """

    signature: Signature
    rows: InputRows | None
    left_out: tuple[str, ...]
    finding: str
    difference: float = 0.0  # the largest from recorded outputs
    is_recorded: bool = False  # `rows` are golden rows or an example, not synthetic

    @property
    def has_rows(self) -> bool:
        """Whether at least one output has a row for each row, as far as observed."""
        return not any(spec.name in self.left_out for spec in self.signature.outputs)


def observe(recorded: InputRows | None, model: LoadedModel, seconds: float | None = None) -> Observation:
    """Replays the recorded rows, or tries synthetic ones. Raises ModelRefused if recorded rows fail or differ.

    `seconds` bounds each call of recorded rows.
    """
    declared = model.signature
    if recorded is not None:
        difference = replay(recorded, model, seconds)
        calls, finding = _observe_calls([recorded], model, seconds)
        return replace(_observation(declared, recorded, calls, finding), difference=difference, is_recorded=True)
    accepted, refusal = _try_synthetic_rows(synthetic_rows(declared), model)
    calls, finding = _observe_calls(accepted, model, TRY_SECONDS)
    return _observation(declared, accepted[0] if accepted else None, calls, finding if accepted else refusal)


def _try_synthetic_rows(candidates: Iterable[InputRows], model: LoadedModel) -> tuple[list[InputRows], str]:
    """Up to MAX_ACCEPTED calls that the model takes, and why it refused the first one that it did not take."""
    names = [spec.name for spec in model.signature.outputs]
    accepted: list[InputRows] = []
    refusal = ""
    end = monotonic() + TRY_SECONDS
    for candidate in candidates:
        try:
            model.run(candidate.inputs, names, max(0.1, end - monotonic()))
        except RequestError as error:
            refusal = refusal or f"synthetic rows fail ({error})"
        else:
            accepted.append(candidate)
        if len(accepted) >= MAX_ACCEPTED or monotonic() > end:
            break
    return accepted, refusal


def _observe_calls(
    known: Sequence[InputRows], model: LoadedModel, seconds: float | None
) -> tuple[list[ObservedCall], str]:
    """The outputs' shapes for one row and for several of `known`, and why a call failed; empty if none did."""
    names = [spec.name for spec in model.signature.outputs]
    calls: list[ObservedCall] = []
    finding = ""
    for rows, feeds in [each for given in known for each in _feeds(given)]:
        try:
            outputs = model.run(feeds, names, seconds)
        except RequestError as error:
            finding = finding or f"{rows} rows in one call fail ({error})"
        else:
            calls.append(ObservedCall(rows, {name: array.shape for name, array in zip(names, outputs, strict=True)}))
    return calls, finding


def _feeds(given: InputRows) -> list[tuple[int | None, dict[str, Array]]]:
    """The inputs of a call of one row and of one of several rows, each with its number of rows."""
    if not given.batched:
        return [(None, given.inputs)]
    several = given.inputs
    if given.rows < SEVERAL_ROWS:
        several = {name: np.repeat(array[:1], SEVERAL_ROWS, axis=0) for name, array in several.items()}
    return [(1, given.one_row()), (SEVERAL_ROWS, {name: array[:SEVERAL_ROWS] for name, array in several.items()})]


def _observation(declared: Signature, rows: InputRows | None, calls: list[ObservedCall], finding: str) -> Observation:
    findings = [finding] if finding else []
    left_out: list[str] = []
    for spec in declared.outputs if declared.batched else ():
        if without := _find_missing_rows(spec, calls):
            left_out.append(spec.name)
            findings.append(without)
    retained = [spec for spec in declared.outputs if spec.name not in left_out] or declared.outputs
    outputs = tuple(_observed(spec, declared, [call.shapes[spec.name] for call in calls]) for spec in retained)
    return Observation(replace(declared, outputs=outputs), rows, tuple(left_out), "; ".join(reversed(findings)))


def _find_missing_rows(spec: TensorSpec, calls: list[ObservedCall]) -> str:
    """Why the output has no row for each row of the inputs; empty if it has, as far as observed."""
    for call in calls:
        shape = call.shapes[spec.name]
        if shape[:1] != (call.rows,):
            return f"output {spec.name!r} has the shape {list(shape)} for {call.rows} row{'s' * (call.rows != 1)}"
    return "" if calls or spec.shape else f"output {spec.name!r} is a scalar"


def _observed(spec: TensorSpec, declared: Signature, shapes: list[Shape]) -> TensorSpec:
    """The output with the rank and lengths that were observed; -1 where they differ, or may with other inputs."""
    ranks = {len(shape) for shape in shapes}
    if len(ranks) != 1:
        return spec
    has_declared_rank = ranks == {len(spec.shape)}
    axes = spec.shape if has_declared_rank else (-1,) * ranks.pop()
    lengths = [set(axis) for axis in zip(*shapes, strict=True)]
    has_free_axes = not declared.fixed_row_shape or not declared.batched
    if has_declared_rank and any(given.datatype == "BYTES" for given in declared.inputs):
        has_free_axes = True  # a text of more words may have a longer output
    shape = [
        -1 if len(found) > 1 or (axis == -1 and has_free_axes) else min(found)
        for axis, found in zip(axes, lengths, strict=True)
    ]
    if declared.batched and shape:
        shape[0] = -1
    return replace(spec, shape=tuple(shape), any_rank=any(given.any_rank for given in declared.inputs))

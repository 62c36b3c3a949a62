"""One stream of windows, from its reference to its findings: what the monitor calls for each feature, share or loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.monitoring.statistics.betting import (
    BETS,
    dispersion_of_losses,
    log_e_values_of_losses,
    stake_losses,
)
from flywheel_runtime.monitoring.statistics.dependence import estimate_design_effect
from flywheel_runtime.monitoring.statistics.effects import exact_shares, population_stability_index, psi_bias
from flywheel_runtime.monitoring.statistics.evalues import WindowTest, distribution_test, log_e_values, share_test
from flywheel_runtime.monitoring.statistics.fixed_tests import drift_p_values, share_p_values
from flywheel_runtime.monitoring.statistics.null_ball import REFERENCE_ERROR
from flywheel_runtime.monitoring.statistics.quantiles import Array, binomial_upper_bound
from flywheel_runtime.monitoring.statistics.streams.decision import (
    Finding,
    State,
    StreamLook,
    StreamState,
    UnknownReason,
    decide_fixed_look,
    decide_look,
    restart_finding,
    unknown_finding,
)

MIN_ROWS = 300


class CountStream(Protocol):
    """A test of the counts of windows."""

    @property
    def threshold(self) -> float:
        """The effect up to which nothing is found."""

    @property
    def log_weights(self) -> Array:
        """The logarithms (components,) of the weights of the bets."""

    @property
    def has_room(self) -> bool:
        """Whether any counts would be beyond the null."""

    def initial_counts(self) -> Array:
        """Counts (learners, bins) from which the alternatives are learned, before the first window."""

    def effect(self, counts: Array) -> float:
        """The effect of counts (bins,)."""

    def log_e_values(
        self, learned: Array, blocks: Array, design_effect: float, window_start: int
    ) -> tuple[Array, Array]:
        """Log e-values (components,) of a window with counts (blocks, bins), and what is learned (learners, bins) after it."""

    def p_value(self, counts: Array, design_effect: float) -> float:
        """The p-value of the same null for one window with counts (bins,)."""


@dataclass(frozen=True)
class Stream:
    """A test of counts, with the reference that effects are measured against."""

    kind: Literal["Distribution", "Share"]
    test: WindowTest
    reference: Array  # (bins,) counts
    threshold: float
    has_room: bool = True

    @property
    def log_weights(self) -> Array:
        """The logarithms (components,) of the weights of the bets."""
        return self.test.log_weights

    def initial_counts(self) -> Array:
        """Counts (learners, bins) from which the alternatives are learned, before the first window."""
        return self.test.initial_counts()

    def log_e_values(
        self, learned: Array, blocks: Array, design_effect: float, window_start: int
    ) -> tuple[Array, Array]:
        """Log e-values (components,) of a window with counts (blocks, bins), and what is learned (learners, bins) after it."""
        return log_e_values(self.test, learned, blocks, np.asarray(design_effect))

    def p_value(self, counts: Array, design_effect: float) -> float:
        """The p-value of the same null for one window with counts (bins,)."""
        if self.kind == "Distribution":
            return float(drift_p_values(self.reference, counts, self.threshold, design_effect))
        hits, rows = counts[0] / design_effect, counts.sum() / design_effect
        return float(share_p_values(self.reference[0], self.reference.sum(), hits, rows, self.threshold))

    def effect(self, counts: Array) -> float:
        """The effect of counts (bins,): PSI without its bias from few rows, or the increase of the share of the first bin."""
        if self.kind == "Share":
            return float(exact_shares(counts)[0] - exact_shares(self.reference)[0])
        index = population_stability_index(self.reference, counts) - psi_bias(self.reference, counts)
        return max(0.0, float(index))


@dataclass(frozen=True)
class LossStream:
    """A test of the mean of losses in [0, 1]."""

    reference_mean: float
    null_mean: float
    threshold: float


def drift_stream(reference: ArrayLike, threshold: float, ordered: int, reference_design_effect: float = 1.0) -> Stream:
    """A stream of counts whose null is PSI <= threshold from the distribution that `reference` (bins,) was drawn from."""
    counts = np.asarray(reference, dtype=np.float64)
    return Stream(
        "Distribution", distribution_test(counts / reference_design_effect, threshold, ordered), counts, threshold
    )


def share_stream(reference_hits: int, reference_rows: int, max_increase: float) -> Stream:
    """A stream of counts [hits, others] whose null is a share at most `max_increase` above that of the reference."""
    counts = np.array([reference_hits, reference_rows - reference_hits], dtype=np.float64)
    return Stream("Share", share_test(reference_hits, reference_rows, max_increase), counts, max_increase)


def loss_stream(reference_mean: float, reference_rows: int, max_increase: float) -> LossStream:
    """A stream of losses in [0, 1] whose mean is by the null at most `max_increase` above that of the reference.

    Chernoff's bound of a share holds for the mean of any losses in [0, 1] (Hoeffding 1963, theorem 1).
    """
    upper = float(binomial_upper_bound(reference_mean * reference_rows, reference_rows, REFERENCE_ERROR))
    return LossStream(reference_mean, upper + max_increase, max_increase)


def observe_window(
    stream: CountStream,
    state: Mapping[str, Any] | None,
    blocks: ArrayLike,
    allowance: float,
    window_start: int,
    min_rows: int = MIN_ROWS,
) -> tuple[State, Finding]:
    """Look at one window: counts `blocks` (sub-windows, bins), with the false alarms that the look may cost in expectation.

    Returns the state, a JSON object for the next look, and the finding. A window with fewer rows than `min_rows` changes nothing.
    Where `state` is not one of this test, the test starts again, and the finding says so.
    """
    memory = _read_state(stream, state)
    if memory is None:
        return restart_finding(*observe_window(stream, None, blocks, allowance, window_start, min_rows))
    memory, window = _measure_window(stream, memory, blocks, min_rows)
    if isinstance(window, Finding):
        return memory.to_json(), window
    learned = memory.learned if memory.learned is not None else stream.initial_counts()
    log_e, learned = stream.log_e_values(learned, window.counts, window.design_effect, window_start)
    memory = memory.replace(learned=learned)
    look = StreamLook(window.rows, window.effect, stream.threshold, window.design_effect, allowance, window_start)
    return decide_look(memory, look, log_e, stream.log_weights)


def window_p_value(
    stream: CountStream, state: Mapping[str, Any] | None, blocks: ArrayLike, min_rows: int = MIN_ROWS
) -> float | None:
    """The p-value of one window with counts `blocks` (sub-windows, bins), None where it raises no alarm whatever it is.

    That is: where it has too few rows, their dependence cannot be estimated, or a finding is active already.
    """
    memory = _read_state(stream, state) or StreamState()
    if memory.active is not None:
        return None
    _, window = _measure_window(stream, memory, blocks, min_rows)
    return None if isinstance(window, Finding) else stream.p_value(window.counts.sum(axis=0), window.design_effect)


def observe_fixed(
    stream: CountStream,
    state: Mapping[str, Any] | None,
    blocks: ArrayLike,
    p_value: float | None,
    level: float,
    window_start: int,
    min_rows: int = MIN_ROWS,
) -> tuple[State, Finding]:
    """Look at one window by its `p_value`, which the caller has adjusted for all tests of the window; otherwise as observe_window."""
    memory = _read_state(stream, state)
    if memory is None:
        return restart_finding(*observe_fixed(stream, None, blocks, p_value, level, window_start, min_rows))
    memory, window = _measure_window(stream, memory, blocks, min_rows)
    if isinstance(window, Finding):
        return memory.to_json(), window
    look = StreamLook(window.rows, window.effect, stream.threshold, window.design_effect, level, window_start)
    return decide_fixed_look(memory, look, 1.0 if p_value is None else p_value)


@dataclass(frozen=True)
class _WindowMeasure:
    """What a window that can be tested has: counts (sub-windows, bins), and their effect and design effect."""

    counts: Array
    rows: int
    effect: float
    design_effect: float


def _measure_window(
    stream: CountStream, memory: StreamState, blocks: ArrayLike, min_rows: int
) -> tuple[StreamState, _WindowMeasure | Finding]:
    """The state with what the window says of dependence, and the window; the finding Unknown in its place if it cannot be tested."""
    counts = np.atleast_2d(np.asarray(blocks, dtype=np.float64))
    total = counts.sum(axis=0)
    rows = int(total.sum())
    if rows < max(min_rows, 1):
        return memory, unknown_finding("TooFewRows", rows, stream.threshold, memory)
    effect = stream.effect(total)
    factor, averages = estimate_design_effect(counts, memory.previous, memory.averages)
    memory = memory.replace(averages=averages, previous=total)
    if factor is None:
        return memory, unknown_finding("DependenceUnknown", rows, stream.threshold, memory, effect)
    if not stream.has_room:
        return memory, unknown_finding("NoRoomAboveNull", rows, stream.threshold, memory, effect)
    return memory, _WindowMeasure(counts, rows, effect, factor)


def _read_state(stream: CountStream, state: Mapping[str, Any] | None) -> StreamState | None:
    """The state of a test; None if it is of another one."""
    try:
        return StreamState.from_json(state, len(stream.log_weights), stream.initial_counts().shape)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def observe_losses(
    stream: LossStream,
    state: Mapping[str, Any] | None,
    losses: ArrayLike,
    allowance: float,
    window_start: int,
    min_rows: int = MIN_ROWS,
    weights: Array | None = None,
) -> tuple[State, Finding]:
    """Look at the losses (rows,) in [0, 1] of one window, in the order of time, with the weights (rows,) of a draw. Otherwise as observe_window."""
    try:
        memory = StreamState.from_json(state, len(BETS))
    except (KeyError, TypeError, ValueError, AttributeError):
        return restart_finding(*observe_losses(stream, None, losses, allowance, window_start, min_rows, weights))
    values = stake_losses(losses, weights, stream.null_mean)
    rows = len(values)
    if rows < max(min_rows, 1):
        return memory.to_json(), unknown_finding("TooFewRows", rows, stream.threshold, memory)
    effect = float(np.average(np.asarray(losses, dtype=np.float64), weights=weights)) - stream.reference_mean
    dispersion = dispersion_of_losses(values)
    if dispersion is None or stream.null_mean >= 1:
        reason: UnknownReason = "DependenceUnknown" if dispersion is None else "NoRoomAboveNull"
        return memory.to_json(), unknown_finding(reason, rows, stream.threshold, memory, effect)
    factor = max(1.0, dispersion)
    log_e = log_e_values_of_losses(values, stream.null_mean, factor)
    look = StreamLook(rows, effect, stream.threshold, factor, allowance, window_start)
    return decide_look(memory, look, log_e, np.full(len(BETS), -np.log(len(BETS))))

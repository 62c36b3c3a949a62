"""One stream of windows, from its reference to its findings: what the monitor calls for each feature, share or loss.

A finding becomes active when the evidence allows an alarm and the effect of the window is above the threshold. It is cleared after three
successive looks with an effect below 0.8 times the threshold; until then it raises no further alarm, so it does not flap at the boundary.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from flywheel_runtime.monitoring.statistics.betting import BETS, dispersion_of_losses, log_e_values_of_losses
from flywheel_runtime.monitoring.statistics.dependence import DispersionAverages, estimate_design_effect
from flywheel_runtime.monitoring.statistics.detector import add_evidence, total_log_evidence
from flywheel_runtime.monitoring.statistics.effects import exact_shares, population_stability_index, psi_bias
from flywheel_runtime.monitoring.statistics.evalues import WindowTest, distribution_test, log_e_values, share_test
from flywheel_runtime.monitoring.statistics.null_ball import REFERENCE_ERROR
from flywheel_runtime.monitoring.statistics.quantiles import Array, binomial_upper_bound

MIN_ROWS = 300
CLEAR_FRACTION = 0.8  # of the threshold
CLEAR_LOOKS = 3
STATE_VERSION = 1

State = dict[str, Any]


@dataclass(frozen=True)
class Stream:
    """A test of counts, with the reference that effects are measured against."""

    kind: Literal["Distribution", "Share"]
    test: WindowTest
    reference: Array  # (bins,) counts
    threshold: float

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


@dataclass(frozen=True)
class Finding:
    """What one look found. `since` is the start of the first window of the evidence, in the caller's unit."""

    status: Literal["Quiet", "Active", "Unknown"]
    reason: Literal["", "TooFewRows", "DependenceUnknown", "NoRoomAboveNull"]
    rows: int
    threshold: float
    effect: float | None = None
    design_effect: float | None = None
    since: int | None = None
    log10_evidence: float | None = None  # of the odds against the null since then; an alarm needs -log10(allowance)
    is_new: bool = False
    is_cleared: bool = False
    is_restarted: bool = False  # since the state did not fit the test


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
    stream: Stream,
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
    try:
        memory = _StreamState.from_json(state, len(stream.test.log_weights), stream.test.initial_counts().shape)
    except (KeyError, TypeError, ValueError, AttributeError):
        return _restarted(*observe_window(stream, None, blocks, allowance, window_start, min_rows))
    counts = np.atleast_2d(np.asarray(blocks, dtype=np.float64))
    total = counts.sum(axis=0)
    rows = int(total.sum())
    if rows < max(min_rows, 1):
        return memory.to_json(), _unknown("TooFewRows", rows, stream.threshold, memory)
    effect = stream.effect(total)
    factor, averages = estimate_design_effect(counts, memory.previous, memory.averages)
    memory = memory.replace(averages=averages, previous=total)
    if factor is None:
        return memory.to_json(), _unknown("DependenceUnknown", rows, stream.threshold, memory, effect)
    learned = memory.learned if memory.learned is not None else stream.test.initial_counts()
    log_e, learned = log_e_values(stream.test, learned, counts, np.asarray(factor))
    memory = memory.replace(learned=learned)
    look = _Look(rows, effect, stream.threshold, factor, allowance, window_start)
    return _decide(memory, look, log_e, stream.test.log_weights)


def observe_losses(
    stream: LossStream,
    state: Mapping[str, Any] | None,
    losses: ArrayLike,
    allowance: float,
    window_start: int,
    min_rows: int = MIN_ROWS,
) -> tuple[State, Finding]:
    """Look at the losses (rows,) in [0, 1] of one window, in the order of time. Otherwise as observe_window."""
    try:
        memory = _StreamState.from_json(state, len(BETS))
    except (KeyError, TypeError, ValueError, AttributeError):
        return _restarted(*observe_losses(stream, None, losses, allowance, window_start, min_rows))
    values = np.asarray(losses, dtype=np.float64)
    rows = len(values)
    if rows < max(min_rows, 1):
        return memory.to_json(), _unknown("TooFewRows", rows, stream.threshold, memory)
    effect = float(values.mean()) - stream.reference_mean
    dispersion = dispersion_of_losses(values)
    if dispersion is None or stream.null_mean >= 1:
        reason: Literal["DependenceUnknown", "NoRoomAboveNull"] = (
            "DependenceUnknown" if dispersion is None else "NoRoomAboveNull"
        )
        return memory.to_json(), _unknown(reason, rows, stream.threshold, memory, effect)
    factor = max(1.0, dispersion)
    log_e = log_e_values_of_losses(values, stream.null_mean, factor)
    look = _Look(rows, effect, stream.threshold, factor, allowance, window_start)
    return _decide(memory, look, log_e, np.full(len(BETS), -np.log(len(BETS))))


@dataclass(frozen=True)
class _Look:
    rows: int
    effect: float
    threshold: float
    design_effect: float
    allowance: float
    window_start: int


@dataclass(frozen=True)
class _StreamState:
    log_evidence: Array | None = None  # (components,)
    starts: tuple[int, ...] = ()  # of the evidence of each component
    learned: Array | None = None  # (learners, bins)
    previous: Array | None = None  # (bins,): the last window's counts
    averages: DispersionAverages = field(default_factory=DispersionAverages)
    looks: int = 0
    active: dict[str, float] | None = None  # since and log10_evidence of the finding that is active
    looks_below: int = 0

    def replace(self, **changes: Any) -> "_StreamState":
        return _StreamState(**{**vars(self), **changes})

    def to_json(self) -> State:
        def round_array(values: Array | None, digits: int) -> Any:
            return None if values is None else np.round(values, digits).tolist()

        return {
            "v": STATE_VERSION,
            "logEvidence": round_array(self.log_evidence, 4),
            "starts": list(self.starts),
            "learned": round_array(self.learned, 2),
            "previous": round_array(self.previous, 0),
            "averages": asdict(self.averages),
            "looks": self.looks,
            "active": self.active,
            "looksBelow": self.looks_below,
        }

    @classmethod
    def from_json(
        cls, state: Mapping[str, Any] | None, components: int, learned: tuple[int, ...] = ()
    ) -> "_StreamState":
        """The state of a test that learns arrays of this shape; KeyError, TypeError, ValueError or AttributeError if it is of another."""
        if state is None:
            return cls()
        if state["v"] != STATE_VERSION:
            raise ValueError(f"version {state['v']!r} of the format is unknown")
        arrays = {
            attribute: None if state[name] is None else np.asarray(state[name], dtype=np.float64)
            for attribute, name in (("log_evidence", "logEvidence"), ("learned", "learned"), ("previous", "previous"))
        }
        shapes = {"log_evidence": (components,), "learned": learned, "previous": learned[1:]}
        is_other = any(each is not None and each.size and each.shape != shapes[name] for name, each in arrays.items())
        if is_other or len(state["starts"]) not in (0, components):
            raise ValueError("the state is of another number of bins or components")
        return cls(
            starts=tuple(int(each) for each in state["starts"]),
            averages=DispersionAverages(**state["averages"]),
            looks=int(state["looks"]),
            active=state["active"] and {name: float(state["active"][name]) for name in ("since", "log10Evidence")},
            looks_below=int(state["looksBelow"]),
            **arrays,
        )


def _restarted(state: State, finding: Finding) -> tuple[State, Finding]:
    """The first look of a test that starts again, which ends the finding of the one before."""
    return state, replace(finding, is_restarted=True, is_cleared=finding.status != "Active")


def _decide(memory: _StreamState, look: _Look, log_e: Array, log_weights: Array) -> tuple[State, Finding]:
    if memory.active is not None:
        return _follow_active(memory, look)
    log_allowance = np.asarray(np.log(look.allowance))
    before = memory.log_evidence if memory.log_evidence is not None else np.full(len(log_e), -1e9)
    starts = memory.starts or (look.window_start,) * len(log_e)
    is_restarted = before <= log_weights + log_allowance
    starts = tuple(look.window_start if fresh else start for fresh, start in zip(is_restarted, starts, strict=True))
    evidence = add_evidence(before, log_e, log_weights, log_allowance)
    total = float(total_log_evidence(evidence))
    odds = (total - float(log_allowance)) / math.log(10)
    since = starts[int(np.argmax(evidence))]
    is_alarm = total >= 0 and look.effect > look.threshold
    if total >= 0:
        evidence = (
            evidence - total
        )  # what waits for an effect above the threshold keeps the evidence of an alarm, not more
    memory = memory.replace(
        log_evidence=None if is_alarm else evidence,
        starts=() if is_alarm else starts,
        looks=memory.looks + 1,
        active={"since": since, "log10Evidence": odds} if is_alarm else None,
        looks_below=0,
    )
    finding = _finding("Active" if is_alarm else "Quiet", look, since if is_alarm else None, odds, is_new=is_alarm)
    return memory.to_json(), finding


def _follow_active(memory: _StreamState, look: _Look) -> tuple[State, Finding]:
    below = memory.looks_below + 1 if look.effect < CLEAR_FRACTION * look.threshold else 0
    is_cleared = below >= CLEAR_LOOKS
    active = memory.active or {}
    memory = memory.replace(
        looks=memory.looks + 1, active=None if is_cleared else active, looks_below=0 if is_cleared else below
    )
    since, odds = int(active["since"]), float(active["log10Evidence"])
    return memory.to_json(), _finding("Quiet" if is_cleared else "Active", look, since, odds, is_cleared=is_cleared)


def _finding(
    status: Literal["Quiet", "Active"],
    look: _Look,
    since: int | None,
    odds: float,
    *,
    is_new: bool = False,
    is_cleared: bool = False,
) -> Finding:
    return Finding(
        status, "", look.rows, look.threshold, look.effect, look.design_effect, since, odds, is_new, is_cleared
    )


def _unknown(
    reason: Literal["TooFewRows", "DependenceUnknown", "NoRoomAboveNull"],
    rows: int,
    threshold: float,
    memory: _StreamState,
    effect: float | None = None,
) -> Finding:
    """A finding that was active stays so: too few rows do not clear it."""
    active = memory.active
    if active is None:
        return Finding("Unknown", reason, rows, threshold, effect)
    return Finding(
        "Active", reason, rows, threshold, effect, None, int(active["since"]), float(active["log10Evidence"])
    )

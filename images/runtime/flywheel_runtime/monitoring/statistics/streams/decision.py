"""The state of a stream, and what one look decides: an alarm, a finding that stays or is cleared, or nothing.

A finding becomes active when the evidence allows an alarm and the effect of the window is above the threshold. It is cleared after three
successive looks with an effect below 0.8 times the threshold; until then it raises no further alarm, so it does not flap at the boundary.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from flywheel_runtime.monitoring.statistics.dependence import DispersionAverages
from flywheel_runtime.monitoring.statistics.detector import add_evidence, total_log_evidence
from flywheel_runtime.monitoring.statistics.quantiles import Array

CLEAR_FRACTION = 0.8  # of the threshold
CLEAR_LOOKS = 3
STATE_VERSION = 1
MIN_P_VALUE = 1e-300

State = dict[str, Any]


UnknownReason = Literal["TooFewRows", "DependenceUnknown", "NoRoomAboveNull", "NotFinite"]


@dataclass(frozen=True)
class Finding:
    """What one look found. `since` is the start of the first window of the evidence, in the caller's unit."""

    status: Literal["Quiet", "Active", "Unknown"]
    reason: Literal["", "TooFewRows", "DependenceUnknown", "NoRoomAboveNull", "NotFinite"]
    rows: int
    threshold: float
    effect: float | None = None
    design_effect: float | None = None
    since: int | None = None
    log10_evidence: float | None = None  # of the odds against the null since then; an alarm needs -log10(allowance)
    is_new: bool = False
    is_cleared: bool = False
    is_restarted: bool = False  # since the state did not fit the test


@dataclass(frozen=True)
class StreamLook:
    """What one look is decided by, beside the e-values."""

    rows: int
    effect: float
    threshold: float
    design_effect: float
    allowance: float
    window_start: int


@dataclass(frozen=True)
class StreamState:
    """What goes on from look to look."""

    log_evidence: Array | None = None  # (components,)
    starts: tuple[int, ...] = ()  # of the evidence of each component
    learned: Array | None = None  # (learners, bins)
    previous: Array | None = None  # (bins,): the last window's counts
    averages: DispersionAverages = field(default_factory=DispersionAverages)
    looks: int = 0
    active: dict[str, float] | None = None  # since and log10_evidence of the finding that is active
    looks_below: int = 0

    def replace(self, **changes: Any) -> "StreamState":
        """The state with these changes."""
        return StreamState(**{**vars(self), **changes})

    def to_json(self) -> State:
        """The JSON object that `from_json` reads."""

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
    ) -> "StreamState":
        """The state of a test that learns arrays of this shape; KeyError, TypeError, ValueError or AttributeError if it is of another.

        A number that is not finite is refused too: added to evidence, it would silence the test for ever.
        """
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
        found = [each for each in arrays.values() if each is not None]
        is_usable = is_finite([state["starts"], state["averages"], state["active"]])
        if not is_usable or not all(np.isfinite(each).all() for each in found):
            raise ValueError("the state has a number that is not finite")
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


def is_finite(value: Any) -> bool:
    """Whether a JSON value has no number that is not finite, in lists and objects included."""
    if isinstance(value, Mapping):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def restart_finding(state: State, finding: Finding) -> tuple[State, Finding]:
    """The first look of a test that starts again, which ends the finding of the one before."""
    return state, replace(finding, is_restarted=True, is_cleared=finding.status != "Active")


def decide_look(memory: StreamState, look: StreamLook, log_e: Array, log_weights: Array) -> tuple[State, Finding]:
    """The state after a look with these log e-values (components,), and the finding. The weights may sum to less than 1.

    Nothing is concluded, or added to the evidence, where a number is not finite.
    """
    if not (math.isfinite(look.effect) and np.isfinite(log_e).all()):
        return memory.to_json(), unknown_finding("NotFinite", look.rows, look.threshold, memory)
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


def decide_fixed_look(memory: StreamState, look: StreamLook, p_value: float) -> tuple[State, Finding]:
    """The state after a look with this p-value, adjusted for what is tested with it, and the finding. No evidence goes on from look to look.

    `allowance` of the look is the level. The evidence of a finding is the decimal logarithm of 1/p.
    """
    if not (math.isfinite(look.effect) and math.isfinite(p_value)):
        return memory.to_json(), unknown_finding("NotFinite", look.rows, look.threshold, memory)
    if memory.active is not None:
        return _follow_active(memory, look)
    surprise = -math.log10(max(p_value, MIN_P_VALUE))
    is_alarm = p_value <= look.allowance and look.effect > look.threshold
    memory = memory.replace(
        log_evidence=None,
        starts=(),
        looks=memory.looks + 1,
        active={"since": look.window_start, "log10Evidence": surprise} if is_alarm else None,
        looks_below=0,
    )
    since = look.window_start if is_alarm else None
    return memory.to_json(), _finding("Active" if is_alarm else "Quiet", look, since, surprise, is_new=is_alarm)


def _follow_active(memory: StreamState, look: StreamLook) -> tuple[State, Finding]:
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
    look: StreamLook,
    since: int | None,
    odds: float,
    *,
    is_new: bool = False,
    is_cleared: bool = False,
) -> Finding:
    return Finding(
        status, "", look.rows, look.threshold, look.effect, look.design_effect, since, odds, is_new, is_cleared
    )


def unknown_finding(
    reason: UnknownReason,
    rows: int,
    threshold: float,
    memory: StreamState,
    effect: float | None = None,
) -> Finding:
    """A finding that was active stays so: too few rows do not clear it."""
    active = memory.active
    if active is None:
        return Finding("Unknown", reason, rows, threshold, effect)
    return Finding(
        "Active", reason, rows, threshold, effect, None, int(active["since"]), float(active["log10Evidence"])
    )

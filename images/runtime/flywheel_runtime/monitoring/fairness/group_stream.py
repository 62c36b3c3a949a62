"""One stream of windows for the groups of a column: whether any two of them are further apart than allowed.

Each pair of groups has components of its own in both directions, and an alarm is raised when their sum reaches 1: the largest of all
differences costs no more of the budget than one. Groups come and go; those of a window share its allowance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from flywheel_runtime.monitoring.fairness.group_differences import (
    COMPONENTS,
    GroupCounts,
    gap_without_bias,
    log_e_values_of_differences,
    ordered_pairs,
)
from flywheel_runtime.monitoring.statistics.quantiles import Array
from flywheel_runtime.monitoring.statistics.streams.decision import (
    Finding,
    State,
    StreamLook,
    StreamState,
    decide_look,
    restart_finding,
    unknown_finding,
)

MAX_COMPARED = 10  # groups of a window, those with the most rows
MAX_KNOWN = 12  # groups whose evidence goes on
NOTHING = -1e9  # the logarithm of no evidence

Pair = tuple[str, str, str]  # what is compared, and the groups with the higher and the lower mean


def observe_groups(
    rates: Mapping[str, GroupCounts], state: Mapping[str, Any] | None, max_gap: float, allowance: float, start: int
) -> tuple[State, Finding]:
    """Look at the groups of one window, each of which has enough rows: `rates` has the counts of what is compared, by its name.

    Nothing is concluded where none has two groups. Where `state` is not one of such a test, the test starts again, and the finding says so.
    """
    compared = {name: found for name, found in rates.items() if len(found.names) > 1}
    rows = int(sum(found.rows.sum() for found in rates.values()))
    try:
        names = () if state is None else tuple(str(each) for each in state["groups"])
        pairs = list(_pairs(rates, names))
        memory = StreamState.from_json(None if state is None else state["stream"], len(pairs) * COMPONENTS)
    except (KeyError, TypeError, ValueError, AttributeError):
        return restart_finding(*observe_groups(rates, None, max_gap, allowance, start))
    if not compared:
        finding = unknown_finding("TooFewRows", rows, max_gap, memory)
        return {"groups": list(names), "stream": memory.to_json()}, finding
    here = dict.fromkeys(name for found in compared.values() for name in found.names)
    known = tuple([*here, *(name for name in names if name not in here)][:MAX_KNOWN])
    memory = _rearrange(memory, pairs, list(_pairs(rates, known)), start)
    log_e, log_weights = _bet(compared, list(_pairs(rates, known)), max_gap)
    effect = max(gap_without_bias(found) for found in compared.values())
    stream, finding = decide_look(memory, StreamLook(rows, effect, max_gap, 1.0, allowance, start), log_e, log_weights)
    return {"groups": list(known), "stream": stream}, finding


def _pairs(rates: Mapping[str, GroupCounts], names: Sequence[str]) -> Iterator[Pair]:
    for rate in rates:
        for first, second in ordered_pairs(len(names)):
            yield rate, names[int(first)], names[int(second)]


def _bet(compared: Mapping[str, GroupCounts], pairs: Sequence[Pair], max_gap: float) -> tuple[Array, Array]:
    """Log e-values and log weights (pairs * components,); what this window does not have keeps its evidence, and costs nothing."""
    places = {pair: place for place, pair in enumerate(pairs)}
    log_e = np.zeros((len(pairs), COMPONENTS))
    log_weights = np.full((len(pairs), COMPONENTS), -np.inf)
    bets = sum(len(found.names) * (len(found.names) - 1) for found in compared.values()) * COMPONENTS
    for rate, found in compared.items():
        chosen = [places[pair] for pair in _pairs({rate: found}, found.names)]
        log_e[chosen] = log_e_values_of_differences(found, max_gap)
        log_weights[chosen] = -np.log(bets)
    return log_e.ravel(), log_weights.ravel()


def _rearrange(memory: StreamState, before: Sequence[Pair], pairs: Sequence[Pair], start: int) -> StreamState:
    """The state with the components of these pairs; new ones have no evidence."""
    if memory.log_evidence is None:
        return replace(memory, starts=())
    places = {pair: place for place, pair in enumerate(before)}
    evidence = np.full((len(pairs), COMPONENTS), NOTHING)
    starts = np.full((len(pairs), COMPONENTS), start)
    old_starts = np.asarray(memory.starts or [start] * len(before) * COMPONENTS).reshape(len(before), COMPONENTS)
    old_evidence = memory.log_evidence.reshape(len(before), COMPONENTS)
    for place, pair in enumerate(pairs):
        if pair in places:
            evidence[place], starts[place] = old_evidence[places[pair]], old_starts[places[pair]]
    return replace(memory, log_evidence=evidence.ravel(), starts=tuple(int(each) for each in starts.ravel()))

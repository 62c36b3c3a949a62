"""The budget of false alarms: how many one look at one stream may cost in expectation, and how many are left."""

from collections.abc import Collection, Mapping, Sequence

SIGNAL_WEIGHTS = {
    "dataQuality": 2.0,
    "featureDrift": 3.0,
    "predictionDrift": 2.0,
    "skew": 1.0,
    "estimatedPerformance": 1.0,
    "performance": 3.0,
    "fairness": 1.0,
    "calibration": 1.0,
    "service": 1.0,
}


def look_allowances(
    subjects: Mapping[str, Sequence[str]], count: float, per_seconds: float, window_seconds: float
) -> dict[tuple[str, str], float]:
    """The allowance of a look at each (signal, subject): the false alarms that it may cost in expectation.

    `subjects` names what each signal looks at in this window, such as features, each with its version in a rollout. A window may cost
    count * window_seconds / per_seconds. The signals that look at anything share it by SIGNAL_WEIGHTS (1 for another signal), and the
    subjects of a signal equally. The allowances of one window sum to that figure whatever comes and goes, so the sum up to time t is
    count * t / per_seconds.
    """
    weights = {signal: SIGNAL_WEIGHTS.get(signal, 1.0) for signal, each in subjects.items() if each}
    total = sum(weights.values())
    of_window = count * window_seconds / per_seconds
    return {
        (signal, subject): of_window * weight / total / len(subjects[signal])
        for signal, weight in weights.items()
        for subject in subjects[signal]
    }


def split_allowance(
    counted: Sequence[str], others: Sequence[str], count: float, per_seconds: float, window_seconds: float
) -> tuple[dict[str, float], float]:
    """The allowance of one window for each of the signals `others`, and the count that is left for those that are `counted`.

    The counted signals share what is left by look_allowances, anew in every window. What another signal does not use is not spent.
    """
    subjects = {name: [name] for name in (*counted, *others)}
    allowances = look_allowances(subjects, count, per_seconds, window_seconds)
    split = {name: allowances[name, name] for name in others}
    return split, count - sum(split.values()) * per_seconds / window_seconds


def alarms_left(count: float, per_seconds: float, alarm_times: Collection[float], now: float) -> float:
    """How many of the budget's false alarms the last `per_seconds` before `now` leave, if every alarm (in unix seconds) was a false one."""
    spent = sum(now - per_seconds < time <= now for time in alarm_times)
    return max(0.0, count - spent)

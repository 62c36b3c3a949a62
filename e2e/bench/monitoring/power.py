"""How soon a shift is found, and how often nothing is taken for one: `python -m e2e.bench.monitoring.power`; into `results/drift_power.md`.

A numeric feature is normal, and from one window on its mean is shifted. Each window is an hour. The monitor has 40 streams that share one
false alarm a year, a reference of 10,000 rows and 20 bins. The other rules look at the same windows.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from e2e.bench import targets
from e2e.bench.monitoring.false_alarms import NULLS, count_false_alarms
from e2e.bench.monitoring.peer_rules import EVIDENTLY, RULES, Rule, compare_with_evidently
from e2e.bench.monitoring.simulated_streams import (
    YEAR_HOURS,
    Monitor,
    SimulatedStreams,
    Traffic,
    count_alarms,
    first_alarms,
)
from e2e.bench.targets import Figures, Target

COMMAND = "make bench-monitoring"
SHIFTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
ROWS = (300, 1_000, 10_000)
THRESHOLDS = (0.1, 0.01)
STREAMS, SHARING = 60, 40
REFERENCE_ROWS, BINS = 10_000, 20
HOURS_BEFORE, MAX_HOURS = 24, 500
REFERENCES, WINDOWS = 10, 30  # of each rule
NULL_YEARS = 300


def main(names: Sequence[str] = ()) -> int:
    """1 if a promise is not kept. `names` picks null years."""
    null_years = {name: count_false_alarms(NULLS[name], NULL_YEARS) for name in names or NULLS}
    found: dict[str, Figures] = {
        f"{NULL_YEARS} null years, {name}": {
            "alarms": each.alarms,
            "upper bound": each.upper_bound,
            "budget": each.budget,
        }
        for name, each in null_years.items()
    }
    delays = {
        f"PSI {threshold:g}, {rows} rows": measure_delays(threshold, rows) for threshold in THRESHOLDS for rows in ROWS
    }
    rules = {f"{name}, {rows} rows": measure_rule(rule, rows) for name, rule in RULES.items() for rows in ROWS}
    found |= {f"hours until found, {name}": each for name, each in {**delays, **rules}.items()}
    checked = [
        Target(
            f"alarms of {NULL_YEARS} null years, at most with 99.9 %: {name}", round(each.upper_bound, 1), each.budget
        )
        for name, each in null_years.items()
    ]
    median = delays[f"PSI {THRESHOLDS[0]:g}, 1000 rows"].get("0.5", math.inf)
    checked.append(Target("half a standard deviation at 1,000 rows an hour", median, 6, "h"))
    if EVIDENTLY.exists():
        checked.append(Target("largest difference to Evidently 0.7.23 on 100 windows", compare_with_evidently(), 1e-9))
    targets.write_results("drift_power", COMMAND, found, checked, note=format_table(delays, rules))
    sys.stdout.write(targets.format_targets(checked) + "\n")
    return 0 if all(each.is_met for each in checked) else 1


def measure_delays(threshold: float, rows: int) -> Figures:
    """The median hours until each shift is found, by the shift; those not found in three weeks by half of the streams are left out."""
    monitor = Monitor(REFERENCE_ROWS, BINS, threshold, allowance=1 / YEAR_HOURS / SHARING)
    figures: Figures = {}
    for shift in SHIFTS:
        traffic = Traffic(rows=rows)
        streams = SimulatedStreams(STREAMS, traffic, monitor, seed=7)
        count_alarms(streams, HOURS_BEFORE)
        streams.traffic = replace(traffic, shift=shift)
        median = float(np.quantile(first_alarms(streams, MAX_HOURS), 0.5, method="higher"))
        if math.isfinite(median):
            figures[f"{shift:g}"] = median
    return figures


def measure_rule(rule: Rule, rows: int) -> Figures:
    """The median hours until a rule says drift, by the shift, and how often it says so in a year without any."""
    random = np.random.default_rng(8)
    references = random.normal(size=(REFERENCES, REFERENCE_ROWS))
    figures: Figures = {}
    for shift in (0.0, *SHIFTS):
        said = [rule(each, random.normal(shift, 1, rows)) for each in references for _ in range(WINDOWS)]
        share = float(np.mean(said))
        if shift == 0:
            figures["false alarms a year"] = round(share * YEAR_HOURS)
        elif share > 0:
            figures[f"{shift:g}"] = float(math.ceil(math.log(0.5) / math.log(1 - share))) if share < 1 else 1.0
    return figures


def format_table(delays: Mapping[str, Figures], rules: Mapping[str, Figures]) -> str:
    """Markdown: a row for each rule and size of a window, a column for each shift."""
    head = "| median hours until found | false alarms a year, 40 streams |" + "".join(
        f" {shift:g} sd |" for shift in SHIFTS
    )
    lines = [head, "|---" * (len(SHIFTS) + 2) + "|"]
    for name, figures in {**delays, **rules}.items():
        alarms = figures.get("false alarms a year")
        said = "at most 1" if alarms is None else f"{alarms * SHARING:,.0f}"
        label = name if alarms is not None else f"Flywheel, {name}"
        cells = "".join(f" {figures[f'{shift:g}']:g} |" if f"{shift:g}" in figures else " - |" for shift in SHIFTS)
        lines.append(f"| {label} | {said} |{cells}")
    text = (
        "A shift of s standard deviations has a PSI of about s², so a threshold of 0.1 asks for shifts above 0.32 and one of 0.01 for "
        "shifts above 0.1: smaller ones belong to the null, and are not found on purpose (-, also what three weeks do not show)."
    )
    return "\n" + text + "\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

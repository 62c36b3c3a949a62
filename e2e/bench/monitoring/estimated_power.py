"""How soon a drop of estimated performance is found, and how often none is: `python -m e2e.bench.monitoring.estimated_power`.

Scores become unsure, so that the metric that they let expect drops. Each window is an hour; the threshold is 0.02, the reference has
10,000 rows, and 40 streams share one false alarm a year. The result is in `results/estimated_power.md`.
"""

import math
import sys

from e2e.bench import targets
from e2e.bench.monitoring.estimated_years import ESTIMATED_NULLS, count_estimated_alarms, hours_until_found
from e2e.bench.targets import Figures, Target
from flywheel_runtime.monitoring.statistics.streams.estimate_stream import EstimatedMetric

COMMAND = "make bench-monitoring"
NULL_YEARS = 300
DROPS = (0.025, 0.03, 0.04, 0.06, 0.08)
ROWS = (300, 1_000, 10_000)
METRICS: tuple[EstimatedMetric, ...] = ("roc_auc", "accuracy")


def main() -> int:
    """1 if a promise is not kept."""
    null_years = {name: count_estimated_alarms(each, NULL_YEARS) for name, each in ESTIMATED_NULLS.items()}
    delays: dict[str, Figures] = {}
    for metric in METRICS:
        for rows in ROWS:
            medians = {f"{drop:g}": hours_until_found(metric, drop, rows) for drop in DROPS}
            delays[f"{metric}, {rows} rows"] = {drop: each for drop, each in medians.items() if math.isfinite(each)}
    checked = [
        Target(
            f"alarms of {NULL_YEARS} null years, at most with 99.9 %: {name}", round(each.upper_bound, 1), each.budget
        )
        for name, each in null_years.items()
    ]
    checked.append(
        Target("twice the threshold at 1,000 rows an hour", delays["roc_auc, 1000 rows"].get("0.04", math.inf), 24, "h")
    )
    found = {f"hours until found, {name}": each for name, each in delays.items()}
    targets.write_results("estimated_power", COMMAND, found, checked, note=_format_table(delays))
    sys.stdout.write(targets.format_targets(checked) + "\n")
    return 0 if all(each.is_met for each in checked) else 1


def _format_table(delays: dict[str, Figures]) -> str:
    lines = [
        "| median hours until found |" + "".join(f" drop {drop:g} |" for drop in DROPS),
        "|---" * (len(DROPS) + 1) + "|",
    ]
    for name, figures in delays.items():
        cells = "".join(f" {figures[f'{drop:g}']:g} |" if f"{drop:g}" in figures else " - |" for drop in DROPS)
        lines.append(f"| {name} |{cells}")
    return "\nA drop of at most 0.02 belongs to the null (-: not found in two weeks).\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""Figures with their bounds, for people (results/<name>.md) and for comparisons (results/<name>.json)."""

import json
import os
import platform
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e.cluster.paths import CHECKOUT

RESULTS = CHECKOUT / "e2e/bench/results"
RUN_FIELDS = ("command", "date", "machine", "revision")

Figures = dict[str, float]


@dataclass(frozen=True)
class Target:
    """What was measured, and how much it may be at most, or must be at least."""

    what: str
    measured: float
    bound: float
    unit: str = ""
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the figure is within its bound."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}{self.unit and ' '}{self.unit}"


def write_results(
    name: str,
    command: str,
    found: Mapping[str, Mapping[str, float]],
    targets: Sequence[Target],
    note: str = "",
    earlier: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write `results/<name>.json` and `.md`; `note` is Markdown below the table, and `earlier` what `earlier_results` returned."""
    result: dict[str, Any] = {
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "revision": revision(),
        "figures": found,
        **({"earlier": earlier} if earlier else {}),
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(_format_results(name, result, targets, note))


def earlier_results(name: str, measured: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the results in `results/<name>.json` that were not measured now, by their keys, each with its run."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        return {}
    last = json.loads(path.read_text())
    run = {field: last[field] for field in RUN_FIELDS}
    found = {key: {**run, "figures": figures} for key, figures in last["figures"].items()}
    return {key: each for key, each in {**last.get("earlier", {}), **found}.items() if key not in measured}


def _format_results(name: str, result: Mapping[str, Any], targets: Sequence[Target], note: str) -> str:
    rows = "".join(
        f"| {line.what} | {line.measured:g}{line.unit and ' '}{line.unit} | {line.wanted} | {'yes' if line.is_met else '**no**'} |\n"
        for line in targets
    )
    details = "".join(f"- `{key}`: {_format_figures(found)}\n" for key, found in result["figures"].items())
    earlier = "".join(
        f"- `{key}`, by an earlier run ({each['date']}, {each['machine']}, revision {each['revision']}): "
        f"{_format_figures(each['figures'])}\n"
        for key, each in result.get("earlier", {}).items()
    )
    return (
        f"# {name}: the last result\n\n"
        f"`{result['command']}`, {result['date']}, {result['machine']}, revision {result['revision']}\n\n"
        f"| | measured | wanted | holds |\n|---|---|---|---|\n{rows}\n{note}{note and chr(10)}{details}{earlier}"
    )


def _format_figures(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{field} {value:g}" for field, value in figures.items())


def format_targets(targets: Sequence[Target]) -> str:
    """Return one line for each target, for the terminal."""
    return "\n".join(
        f"{'ok  ' if line.is_met else 'MISS'} {line.what}: {line.measured:g}{line.unit and ' '}{line.unit} (wanted {line.wanted})"
        for line in targets
    )


def peak_mib() -> float:
    """The largest resident memory of this process so far; getrusage would give that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)


def cpu_seconds(process: int) -> float:
    """User and system time of a process, by its pid: what a busy machine changes less than time."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """`2 x Intel(R) …, 24 GiB, Python 3.11.7, load 0.8`."""
    cpus = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = cpus[0].partition(":")[2].strip() if cpus else platform.machine()
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    load = Path("/proc/loadavg").read_text().split()[0]
    return f"{len(cpus)} x {name}, {memory:.0f} GiB, Python {platform.python_version()}, load {load} at the end"


def revision() -> str:
    """Of the checkout, with a plus if it was changed."""
    words = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty=+"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"

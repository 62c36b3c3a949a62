"""The figures with their targets, for people (operator.md) and for comparisons (operator.json)."""

import json
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from e2e.bench.operator.figures import Figures
from e2e.cluster.places import CHECKOUT

RESULTS = CHECKOUT / "e2e/bench/results"


@dataclass(frozen=True)
class Line:
    """One promise: what was measured, and how much it may be at most."""

    what: str
    measured: float
    at_most: float
    unit: str

    @property
    def holds(self) -> bool:
        """Whether it is kept."""
        return self.measured <= self.at_most


def lines(found: dict[str, Figures]) -> list[Line]:
    """The promises of those figures that were measured."""
    restarts = [figures for name, figures in found.items() if name.startswith("restart")]
    promised = []
    for figures in restarts:
        size = int(figures["resources"])
        promised += [
            Line(
                f"restart with {size:,} resources, all reconciled",
                figures["reconciled_seconds"],
                max(10.0, size * 0.006),
                "s",
            ),
            Line(f"writes of that restart ({size:,})", figures["writes"], 0, ""),
        ]
    if restarts:
        first = restarts[0]
        promised.append(
            Line(f"peak RSS of that restart ({int(first['resources']):,})", first["rss_peak_mib"], 150, "MiB")
        )
    if spec := found.get("latency"):
        size = int(spec["resources"])
        promised.append(Line(f"spec change to child applied, p99 at {size} resources", spec["p99_seconds"], 1, "s"))
    if quiet := found.get("idle"):
        promised.append(Line(f"writes in {quiet['seconds'] / 60:g} idle minutes", quiet["writes"], 0, ""))
    if trial := found.get("trial"):
        promised.append(Line("trial overhead over a pod that does nothing", trial["overhead_seconds"], 2, "s"))
    if server := found.get("server"):
        promised.append(Line("server start to Ready", server["ready_seconds"], 2, "s"))
    return promised


def write(name: str, found: dict[str, Figures], command: str) -> list[Line]:
    """Into `results/<name>.json` and `.md`; the promises."""
    promised = lines(found)
    told: dict[str, Any] = {
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "revision": revision(),
        "figures": found,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")
    rows = "".join(
        f"| {line.what} | {line.measured:g} {line.unit} | {line.at_most:g} {line.unit} | {'yes' if line.holds else '**no**'} |\n"
        for line in promised
    )
    details = "".join(
        f"- `{key}`: " + ", ".join(f"{field} {value:g}" for field, value in figures.items()) + "\n"
        for key, figures in found.items()
    )
    (RESULTS / f"{name}.md").write_text(
        f"# {name}: the last result\n\n`{command}`, {told['date']}, {told['machine']}, revision {told['revision']}\n\n"
        f"| | measured | at most | holds |\n|---|---|---|---|\n{rows}\n{details}"
    )
    return promised


def shown(promised: list[Line]) -> str:
    """One line each, for the terminal."""
    return "\n".join(
        f"{'ok  ' if line.holds else 'MISS'} {line.what}: {line.measured:g} {line.unit} (at most {line.at_most:g})"
        for line in promised
    )


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

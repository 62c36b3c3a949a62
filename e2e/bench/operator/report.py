"""The targets of the operator's figures."""

from collections.abc import Mapping

from e2e.bench.targets import Figures, Target


def targets(found: Mapping[str, Figures]) -> list[Target]:
    """Return the targets of those figures that were measured."""
    restarts = [figures for name, figures in found.items() if name.startswith("restart")]
    checked = []
    for figures in restarts:
        size = int(figures["resources"])
        what, seconds = f"restart with {size:,} resources, all reconciled", figures["reconciled_seconds"]
        checked += [
            Target(what, seconds, max(10.0, size * 0.006), "s"),
            Target(f"writes of that restart ({size:,})", figures["writes"], 0),
        ]
    if restarts:
        first = restarts[0]
        checked.append(
            Target(f"peak RSS of that restart ({int(first['resources']):,})", first["rss_peak_mib"], 150, "MiB")
        )
    if spec := found.get("latency"):
        size = int(spec["resources"])
        checked.append(Target(f"spec change to child applied, p99 at {size} resources", spec["p99_seconds"], 1, "s"))
    if quiet := found.get("idle"):
        checked.append(Target(f"writes in {quiet['seconds'] / 60:g} idle minutes", quiet["writes"], 0))
    if trial := found.get("trial"):
        checked.append(Target("trial overhead over a pod that does nothing", trial["overhead_seconds"], 2, "s"))
    if tracking := found.get("tracking"):
        checked += [
            Target("tracking of a trial with a short log", tracking["with_log_costs_seconds"], 0.2, "s"),
            Target("tracking of a trial with a log of 10 MiB", tracking["with_longest_log_costs_seconds"], 0.2, "s"),
        ]
    if saved := found.get("saved"):
        after = found["after"]
        checked += [
            Target("CPU saved before main may start", saved["cpu_seconds"], 0.3, "s", at_least=True),
            Target("peak RSS of collect", after["collect_peak_mib"], 40, "MiB"),
        ]
    if server := found.get("server"):
        checked.append(Target("server start to Ready", server["ready_seconds"], 2, "s"))
    return checked

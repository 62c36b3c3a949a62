"""The promises that the operator's figures are held to."""

from collections.abc import Mapping

from e2e.bench.targets import Figures, Promise


def promises(found: Mapping[str, Figures]) -> list[Promise]:
    """The promises of those figures that were measured."""
    restarts = [figures for name, figures in found.items() if name.startswith("restart")]
    promised = []
    for figures in restarts:
        size = int(figures["resources"])
        what, seconds = f"restart with {size:,} resources, all reconciled", figures["reconciled_seconds"]
        promised += [
            Promise(what, seconds, max(10.0, size * 0.006), "s"),
            Promise(f"writes of that restart ({size:,})", figures["writes"], 0),
        ]
    if restarts:
        first = restarts[0]
        promised.append(
            Promise(f"peak RSS of that restart ({int(first['resources']):,})", first["rss_peak_mib"], 150, "MiB")
        )
    if spec := found.get("latency"):
        size = int(spec["resources"])
        promised.append(Promise(f"spec change to child applied, p99 at {size} resources", spec["p99_seconds"], 1, "s"))
    if quiet := found.get("idle"):
        promised.append(Promise(f"writes in {quiet['seconds'] / 60:g} idle minutes", quiet["writes"], 0))
    if trial := found.get("trial"):
        promised.append(Promise("trial overhead over a pod that does nothing", trial["overhead_seconds"], 2, "s"))
    if saved := found.get("saved"):
        after = found["after"]
        promised += [
            Promise("CPU saved before main may start", saved["cpu_seconds"], 0.3, "s", at_least=True),
            Promise("peak RSS of collect", after["collect_peak_mib"], 40, "MiB"),
        ]
    if server := found.get("server"):
        promised.append(Promise("server start to Ready", server["ready_seconds"], 2, "s"))
    return promised

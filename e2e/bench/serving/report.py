"""What was promised about the server, and the table with all peers."""

from collections.abc import Mapping

from e2e.bench.targets import Figures, Target

# Ours divided by the peer's, at least.
JSON = {"kserve": 15, "mlserver": 15, "bentoml": 30, "fastapi": 5}
RPC = {"kserve": 1.4, "mlserver": 1.4}
WORKS = {
    "json": "JSON, trees, batch 1",
    "json32": "JSON, trees, batch 32",
    "wide": "JSON, 1,000 features",
    "text": "JSON, 3 texts",
    "rpc": "gRPC, trees, batch 1",
}
OURS = "flywheel"


def targets(found: Mapping[str, Figures]) -> list[Target]:
    """Of those figures that were measured."""
    promised = []
    for work, least in (("json", JSON), ("rpc", RPC)):
        ours = found.get(f"{work}_{OURS}")
        for peer, ratio in least.items():
            theirs = found.get(f"{work}_{peer}")
            if ours and theirs:
                measured = round(ours["rate"] / theirs["rate"], 1)
                promised.append(Target(f"{WORKS[work]}, 8 connections: ours ÷ {peer}", measured, ratio, "x", True))
    if added := found.get("added"):
        promised.append(Target("added p50 over a bare onnxruntime call, 1 connection", added["added_ms"], 0.3, "ms"))
    if start := found.get(f"start_{OURS}"):
        promised.append(Target("start to first right answer", start["start_seconds"], 1, "s"))
        promised.append(Target("peak RSS, REST and gRPC", start["peak_rss_mib"], 80, "MiB"))
    if alone := found.get(f"start_{OURS}-rest"):
        promised.append(Target("peak RSS, REST alone", alone["peak_rss_mib"], 80, "MiB"))
    if rows := found.get("rows"):
        promised.append(Target("rows by column names ÷ tensors, trees, batch 1", rows["ratio"], 0.8, "x", True))
    if overload := found.get("overload"):
        promised += [
            Target("3 times the peak offered: goodput ÷ peak", overload["goodput_ratio"], 0.9, "", True),
            Target("3 times the peak offered: accepted p99 ÷ p99 at the peak", overload["p99_ratio"], 2),
            Target("recovery after it", overload["recovery_seconds"], 5, "s"),
        ]
    return promised


def table(found: Mapping[str, Figures], versions: Mapping[str, str]) -> str:
    """Markdown: a row for each kind of work, a column for each server, requests a second and p99."""
    servers = [name for name in versions if any(key.endswith(f"_{name}") for key in found)]
    head = "| | " + " | ".join(f"{name} {versions[name]}" for name in servers) + " |\n"
    rows = [head, "|---" * (len(servers) + 1) + "|\n"]
    for work, words in WORKS.items():
        cells = [_cell(found.get(f"{work}_{name}")) for name in servers]
        if any(cells):
            rows.append(f"| {words} | " + " | ".join(cells) + " |\n")
    starts = [found.get(f"start_{name}") for name in servers]
    if any(starts):
        cells = [f"{each['start_seconds']:g} s, {each['peak_rss_mib']:.0f} MiB" if each else "" for each in starts]
        rows.append("| start to first right answer, peak RSS | " + " | ".join(cells) + " |\n")
    return "\nRequests a second (p99), one core each, 8 connections:\n\n" + "".join(rows)


def _cell(measured: Figures | None) -> str:
    return f"{measured['rate']:,.0f} ({measured['p99']:.2f} ms)" if measured else ""

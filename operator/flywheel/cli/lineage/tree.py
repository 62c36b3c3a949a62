"""A lineage as text: two trees, one back to the data, one on to the services."""

from collections.abc import Iterator

from flywheel.cli.lineage.edges import Node
from flywheel.cli.lineage.graph import Graph, Step


def render_tree(graph: Graph, start: str) -> str:
    """Returns the node, its causes and its effects."""
    lines = [_line(graph.nodes[start])]
    for title, step in (("comes from", graph.causes), ("led to", graph.effects)):
        branches = list(_branches(graph, start, step, "", frozenset({start})))
        lines += [title, *(branches or ["└─ nothing that this namespace knows of"])]
    return "\n".join(lines)


def _branches(graph: Graph, here: str, step: Step, indent: str, path: frozenset[str]) -> Iterator[str]:
    """Yields the lines of a tree. A node with several paths is shown on each; a cycle ends where it closes."""
    ends = [(edge, end) for edge, end in step(here) if end not in path]
    for number, (edge, end) in enumerate(ends, 1):
        last = number == len(ends)
        how = f", {edge.how}" if edge.how else ""
        yield f"{indent}{'└─' if last else '├─'} {_line(graph.nodes[end])}{how}"
        yield from _branches(graph, end, step, indent + ("   " if last else "│  "), path | {end})


def _line(node: Node) -> str:
    parts = (f"{node.kind} {node.name}", node.digest, node.detail, "no longer in the cluster" if node.gone else None)
    return ", ".join(each for each in parts if each)

"""What led to what in a namespace, derived from specs and statuses on each call, so that it cannot disagree with them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from flywheel.cli.connection import Connection
from flywheel.cli.errors import WRONG_USAGE, CommandError
from flywheel.cli.fields import drop_empty
from flywheel.cli.lineage import edges
from flywheel.cli.lineage.edges import Edge, Node
from flywheel.core.resource import api

Step = Callable[[str], Iterator[tuple[Edge, str]]]  # from a node to its causes, or to its effects
EDGES_BY_KIND = {
    api.DATASET: edges.dataset_edges,
    api.TRAINING_PIPELINE: edges.pipeline_edges,
    api.TRAINING_RUN: edges.run_edges,
    api.EXPERIMENT: edges.experiment_edges,
    api.MODEL_VERSION: edges.version_edges,
    api.MODEL: edges.model_edges,
    api.INFERENCE_SERVICE: edges.service_edges,
    api.BATCH_INFERENCE: edges.batch_edges,
    api.MODEL_MONITOR: edges.monitor_edges,
    api.FEATURE_SET: edges.feature_set_edges,
}


@dataclass
class Graph:
    """Nodes by their id, and edges from cause to effect. A node that is `gone` is named by another, and not in the cluster."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: set[Edge] = field(default_factory=set)

    def add(self, found: Iterable[Node | Edge]) -> None:
        """Adds nodes and edges. A node that exists replaces one that is only named."""
        for each in found:
            if isinstance(each, Edge):
                self.edges.add(each)
            elif each.id not in self.nodes or self.nodes[each.id].gone:
                self.nodes[each.id] = each

    def merge_prepared_data(self) -> None:
        """Replaces prepared data by the version of a Dataset with its digest: an Experiment of a run names only its artifact."""
        versions = {
            node.digest: node.id for node in self.nodes.values() if node.kind == "DatasetVersion" and node.digest
        }
        given = [node for node in self.nodes.values() if node.kind == "PreparedData"]
        same = {node.id: versions[node.digest] for node in given if node.digest in versions}
        rest = (edge for edge in self.edges if edge.effect not in same)
        self.edges = {Edge(same.get(edge.cause, edge.cause), edge.effect, edge.how) for edge in rest}
        self.nodes = {key: node for key, node in self.nodes.items() if key not in same}

    def causes(self, node: str) -> Iterator[tuple[Edge, str]]:
        """Returns the edges to a node, in order, each with the cause."""
        return ((edge, edge.cause) for edge in sorted(self.edges) if edge.effect == node)

    def effects(self, node: str) -> Iterator[tuple[Edge, str]]:
        """Returns the edges from a node, in order, each with the effect."""
        return ((edge, edge.effect) for edge in sorted(self.edges) if edge.cause == node)

    def find(self, name: str) -> str:
        """Returns the id of a node by KIND/NAME, a name, or a digest.

        Raises:
            CommandError: no node has it, or several have.
        """
        kind, _, rest = name.rpartition("/")
        found = [
            node.id
            for node in self.nodes.values()
            if (rest in (node.name, node.digest)) and kind.lower() in ("", node.kind.lower(), f"{node.kind.lower()}s")
        ]
        if not found:
            raise CommandError(
                f"nothing called '{name}' has a lineage in this namespace; 'kubectl get flywheel' lists what is there"
            )
        if len(found) > 1:
            raise CommandError(
                f"'{name}' is several: {', '.join(sorted(found))}; name one of these, with its kind", WRONG_USAGE
            )
        return found[0]

    def to_json(self, start: str) -> dict[str, Any]:
        """Returns all causes and effects of a node, as JSON."""
        reached = _reached(start, self.causes) | _reached(start, self.effects)
        edges = [edge for edge in sorted(self.edges) if edge.cause in reached and edge.effect in reached]
        return {
            "start": start,
            "nodes": [self.nodes[each].to_json() for each in sorted(reached)],
            "edges": [drop_empty({"from": each.cause, "to": each.effect, "how": each.how}) for each in edges],
        }


def _reached(start: str, step: Step) -> set[str]:
    reached, waiting = {start}, [start]
    while waiting:
        ends = {end for _edge, end in step(waiting.pop())}
        waiting += ends - reached
        reached |= ends
    return reached


def build_graph(connection: Connection) -> Graph:
    """Returns the graph of a namespace. A kind that this cluster does not have adds nothing."""
    graph = Graph()
    for kind, read in EDGES_BY_KIND.items():
        for manifest in connection.list_objects(kind):
            graph.add(read(manifest))
    graph.merge_prepared_data()
    return graph

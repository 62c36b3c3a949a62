"""`flywheel lineage`: from data to services and back, for anything with a name or a digest.

source ─▶ Dataset ─▶ its versions ─▶ Experiment (of a TrainingRun) ─▶ ModelVersion ─▶ Model, InferenceService, BatchInference
"""

from argparse import ArgumentParser, Namespace

from flywheel.cli.connection import connect
from flywheel.cli.errors import DONE
from flywheel.cli.lineage import graph, tree
from flywheel.cli.output import print_document
from flywheel.client.controls import escape_lines

DESCRIPTION = (
    "Print where a version comes from and what it led to, from the digest of its data to the services that serve it."
)
EXAMPLES = """\
examples:
  flywheel lineage flight-delay-3f9a1c2e          of a ModelVersion
  flywheel lineage flights-f430cdc0               which models came from this version of a Dataset?
  flywheel lineage sha256:3f9a…                   of what has that digest
  flywheel lineage experiment/flight-delay        where several kinds share the name
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel lineage`."""
    parser.add_argument("name", metavar="NAME", help="a name, KIND/NAME, or a digest")
    parser.add_argument(
        "-o",
        "--output",
        "--format",
        choices=("tree", "json", "yaml"),
        default="tree",
        help="how to print (default: tree)",
    )


def run(arguments: Namespace) -> int:
    """Prints the lineage."""
    lineage = graph.build_graph(connect(arguments))
    start = lineage.find(arguments.name)
    if arguments.output == "tree":
        print(escape_lines(tree.render_tree(lineage, start)))
    else:
        print_document(lineage.to_json(start), arguments.output)
    return DONE

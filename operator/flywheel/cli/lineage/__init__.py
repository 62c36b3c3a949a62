"""`flywheel lineage`: from data to services and back, for anything with a name or a digest.

source ─▶ Dataset ─▶ its versions ─▶ Experiment (of a TrainingRun) ─▶ ModelVersion ─▶ Model, InferenceService, BatchInference
"""

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from flywheel.cli.errors import DONE

if TYPE_CHECKING:
    from argparse import _SubParsersAction

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


def add(commands: "_SubParsersAction[ArgumentParser]") -> None:
    """Adds the command `flywheel lineage`."""
    from flywheel.cli.connection import add_options
    from flywheel.cli.parser import add_command

    parser = add_command(commands, "lineage", DESCRIPTION, EXAMPLES)
    parser.add_argument("name", metavar="NAME", help="a name, KIND/NAME, or a digest")
    parser.add_argument("--format", choices=("tree", "json"), default="tree", help="how to print (default: tree)")
    add_options(parser)
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    """Prints the lineage."""
    from flywheel.cli.connection import connect
    from flywheel.cli.lineage import graph, tree

    lineage = graph.build_graph(connect(arguments))
    start = lineage.find(arguments.name)
    if arguments.format == "json":
        print(json.dumps(lineage.to_json(start), indent=2, sort_keys=True, ensure_ascii=False))
    else:
        print(tree.render_tree(lineage, start))
    return DONE

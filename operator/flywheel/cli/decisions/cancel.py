"""`flywheel cancel`: stops a run for good, and suspends a search or a batch."""

from argparse import ArgumentParser, Namespace

from flywheel.cli.connection import connect
from flywheel.cli.decisions.field_owner import warn_of_git
from flywheel.cli.errors import DONE
from flywheel.cli.fields import get_field
from flywheel.cli.resource_names import find_object
from flywheel.core.resource.api import BATCH_INFERENCE, EXPERIMENT, TRAINING_RUN
from flywheel.core.resource.conditions import find_condition

DESCRIPTION = "Cancel a TrainingRun; suspend an Experiment or a BatchInference, which --undo lets go on."
EXAMPLES = """\
examples:
  flywheel cancel flight-delay-monthly-x7k2p
  flywheel cancel experiment/flight-delay         starts no further trial; running ones end
  flywheel cancel experiment/flight-delay --undo
"""
CANCELLED = "its running steps are stopped, and those of finally still run"
# The field of each kind, and what happens then.
FIELDS = {
    TRAINING_RUN: ("cancel", CANCELLED),
    EXPERIMENT: ("suspend", "no new trial starts, and running ones go on to their end"),
    BATCH_INFERENCE: ("suspend", "its pods are deleted, and finished shards stay"),
}


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel cancel`."""
    parser.add_argument("object", metavar="RUN", help="a TrainingRun, or KIND/NAME of another kind")
    parser.add_argument("--undo", action="store_true", help="let a suspended Experiment or BatchInference go on")


def run(arguments: Namespace) -> int:
    """Writes spec.cancel or spec.suspend."""
    connection = connect(arguments)
    kinds = tuple(FIELDS) if "/" in arguments.object else (TRAINING_RUN,)
    api, found = find_object(connection, arguments.object, *kinds)
    field, effect = FIELDS[api]
    subject = f"{api.kind} '{found['metadata']['name']}'"
    ended = find_condition(found, "Succeeded").get("status") in ("True", "False")
    if ended and not arguments.undo:
        print(f"{subject} has ended already: {find_condition(found, 'Succeeded').get('message')}")
        return DONE
    if bool(get_field(found, "spec", field)) != arguments.undo:
        print(
            f"{subject} is {'not suspended' if arguments.undo else 'cancelled' if field == 'cancel' else 'suspended'} already"
        )
        return DONE
    changed = connection.change(found, api, {"spec": {field: not arguments.undo}})
    word = "goes on" if arguments.undo else "is cancelled" if field == "cancel" else "is suspended"
    print(f"{subject} {word}{'' if arguments.undo else f': {effect}'}")
    if warning := warn_of_git(changed, f"spec.{field}"):
        print(warning)
    return DONE

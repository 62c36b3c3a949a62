"""`flywheel reject`: a version never becomes champion; and the way back, also after a rollout has rejected it."""

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from typing import Any

from flywheel.cli.connection import connect
from flywheel.cli.decisions.field_owner import warn_of_git
from flywheel.cli.errors import DONE
from flywheel.cli.fields import get_field, list_objects
from flywheel.cli.resource_names import find_object
from flywheel.core.resource.api import MODEL, MODEL_VERSION

DESCRIPTION = (
    "Reject a version: it never becomes champion, and as champion gives way to the one before. --undo offers it again."
)
EXAMPLES = """\
examples:
  flywheel reject flight-delay-3f9a1c2e
  flywheel reject flight-delay-3f9a1c2e --undo    also of a version that a rollout has rejected

It sets spec.archived. The version stays, and a service that names it goes on serving it.
"""
CLEAR_REJECTION_ANNOTATION = "flywheel.ml/clear-rejection"


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel reject`."""
    parser.add_argument("version", metavar="MODELVERSION", help="the ModelVersion")
    parser.add_argument("--undo", action="store_true", help="offer it again")


def run(arguments: Namespace) -> int:
    """Writes spec.archived, and with --undo the annotation that clears a rollout's rejection."""
    connection = connect(arguments)
    _api, version = find_object(connection, arguments.version, MODEL_VERSION)
    name, model_name = version["metadata"]["name"], str(get_field(version, "spec", "model"))
    patch: dict[str, Any] = {"spec": {"archived": not arguments.undo}}
    if arguments.undo and get_field(version, "status", "rejection") is not None:
        patch["metadata"] = {"annotations": {CLEAR_REJECTION_ANNOTATION: datetime.now(UTC).isoformat()}}
    changed = connection.change(version, MODEL_VERSION, patch)
    print(f"ModelVersion '{name}' is {'offered again' if arguments.undo else 'rejected'}")
    model = connection.get(MODEL, model_name)
    if not arguments.undo and get_field(model, "status", "champion") == name:
        before = [
            each.get("version") for each in list_objects(model, "status", "history") if each.get("version") != name
        ]
        print(f"It is the champion of Model '{model_name}'{f', which goes back to {before[0]!r}' if before else ''}")
    if not arguments.undo and get_field(model, "spec", "champion") == name:
        print(f"Warning: Model '{model_name}' pins it in spec.champion; 'flywheel pin {model_name} --unset' ends that")
    if warning := warn_of_git(changed, "spec.archived"):
        print(warning)
    return DONE

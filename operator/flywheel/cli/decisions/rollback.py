"""`flywheel rollback`: pins the champion of before."""

from argparse import ArgumentParser, Namespace

from flywheel.cli.connection import Connection, connect
from flywheel.cli.decisions.pin import require_version, write_champion
from flywheel.cli.errors import DONE, CommandError
from flywheel.cli.fields import get_field, list_objects
from flywheel.cli.resource_names import find_object
from flywheel.core.resource.api import INFERENCE_SERVICE, MODEL, MODEL_VERSION, Manifest

DESCRIPTION = "Roll a Model back: pin the version that was champion before, or the one of --to."
EXAMPLES = """\
examples:
  flywheel rollback flight-delay
  flywheel rollback flight-delay --to flight-delay-3f9a1c2e
  flywheel rollback inferenceservice/flight-delay    of the Model that it serves

The pin stays until 'flywheel pin MODEL --unset'; 'flywheel reject' excludes the bad version for good.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel rollback`."""
    parser.add_argument("model", metavar="MODEL", help="the Model, or inferenceservice/NAME of a service")
    parser.add_argument("--to", metavar="MODELVERSION", help="another version")


def run(arguments: Namespace) -> int:
    """Writes spec.champion."""
    connection = connect(arguments)
    model = _model(connection, arguments.model)
    if arguments.to is not None:
        require_version(connection, model, arguments.to)
    write_champion(connection, model, arguments.to or previous_champion(connection, model))
    return DONE


def previous_champion(connection: Connection, model: Manifest) -> str:
    """Returns the last champion before the present one that may still be champion.

    Raises:
        CommandError: there is none.
    """
    now, name = get_field(model, "status", "champion"), model["metadata"]["name"]
    for entry in list_objects(model, "status", "history"):
        before = str(entry.get("version"))
        version = connection.get(MODEL_VERSION, before) if before != now else None
        if version is not None and is_eligible(version):
            return before
    raise CommandError(
        f"Model '{name}' had no champion before '{now}' that still exists and is not rejected; name a version with --to"
        if now
        else f"Model '{name}' has no champion; 'flywheel explain model/{name}' says why"
    )


def is_eligible(version: Manifest) -> bool:
    """Returns whether a version is verified, not archived, and not rejected by a rollout."""
    barred = get_field(version, "spec", "archived") or get_field(version, "status", "rejection") is not None
    return get_field(version, "status", "verifiedAt") is not None and not barred


def _model(connection: Connection, name: str) -> Manifest:
    kinds = (MODEL, INFERENCE_SERVICE) if "/" in name else (MODEL,)
    api, found = find_object(connection, name, *kinds)
    if api == MODEL:
        return found
    model = get_field(found, "spec", "model")
    if model is None:
        version = get_field(found, "spec", "version")
        raise CommandError(f"{name} serves version '{version}' by its name; change its spec.version")
    return connection.require(MODEL, str(model))

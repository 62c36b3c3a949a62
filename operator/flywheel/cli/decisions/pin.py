"""`flywheel pin`: a Model's champion is the version that a person names, until that is unset."""

from argparse import ArgumentParser, Namespace

from flywheel.cli.connection import Connection, connect
from flywheel.cli.decisions.field_owner import warn_of_git
from flywheel.cli.errors import DONE, WRONG_USAGE, CommandError
from flywheel.cli.fields import get_field
from flywheel.cli.resource_names import find_object
from flywheel.core.resource.api import MODEL, MODEL_VERSION, Manifest

DESCRIPTION = "Pin a version as the champion of its Model, or unset the pin, so that the operator decides again."
EXAMPLES = """\
examples:
  flywheel pin flight-delay flight-delay-3f9a1c2e
  flywheel pin flight-delay --unset

It sets spec.champion. With promotion: Approval it needs the verb approve on modelversions.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel pin`."""
    parser.add_argument("model", metavar="MODEL", help="the Model")
    parser.add_argument("version", metavar="MODELVERSION", nargs="?", help="one of its versions")
    parser.add_argument("--unset", action="store_true", help="let the operator decide again")


def run(arguments: Namespace) -> int:
    """Writes spec.champion."""
    if (arguments.version is None) != arguments.unset:
        raise CommandError("give a version to pin, or --unset", WRONG_USAGE)
    connection = connect(arguments)
    _api, model = find_object(connection, arguments.model, MODEL)
    if arguments.version is not None:
        require_version(connection, model, arguments.version)
    write_champion(connection, model, arguments.version)
    return DONE


def require_version(connection: Connection, model: Manifest, name: str) -> Manifest:
    """Returns a version of that Model.

    Raises:
        CommandError: it does not exist, or belongs to another Model.
    """
    _api, version = find_object(connection, name, MODEL_VERSION)
    owner, wanted = get_field(version, "spec", "model"), model["metadata"]["name"]
    if owner != wanted:
        raise CommandError(
            f"ModelVersion '{name}' is of Model '{owner}', not of '{wanted}'; pin one of its own versions"
        )
    return version


def write_champion(connection: Connection, model: Manifest, version: str | None) -> None:
    """Sets or removes spec.champion, and prints what was and what is now."""
    name, before = model["metadata"]["name"], get_field(model, "status", "champion")
    pinned = get_field(model, "spec", "champion")
    changed = connection.change(model, MODEL, {"spec": {"champion": version}})
    if version is None:
        print(
            f"Model '{name}' is no longer pinned{f' to {pinned!r}' if pinned else ''}; the operator chooses its champion"
        )
    else:
        was = f", before it was {before!r}" if before and before != version else ""
        print(f"Model '{name}' is pinned to {version!r}{was}; 'flywheel pin {name} --unset' ends that")
    if warning := warn_of_git(changed, "spec.champion"):
        print(warning)

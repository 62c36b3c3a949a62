"""`flywheel approve`: a person approves a version, in their own name, for the artifact that it has now."""

from argparse import ArgumentParser, Namespace

from flywheel.cli.connection import connect
from flywheel.cli.decisions.field_owner import warn_of_git
from flywheel.cli.errors import DONE, CommandError
from flywheel.cli.fields import drop_empty, get_field
from flywheel.cli.resource_names import find_object
from flywheel.core.resource.api import MODEL, MODEL_VERSION
from flywheel.core.resource.conditions import find_condition

DESCRIPTION = "Approve a version of a Model with promotion: Approval. It needs the verb approve on modelversions."
EXAMPLES = """\
examples:
  flywheel approve flight-delay-3f9a1c2e --reason "ticket 214"

The approval is in your name, as 'kubectl auth whoami' prints it, and holds for the version's present digest alone.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel approve`."""
    parser.add_argument("version", metavar="MODELVERSION", help="the ModelVersion")
    parser.add_argument("--reason", metavar="TEXT", help="why, such as a ticket")


def run(arguments: Namespace) -> int:
    """Writes spec.approval."""
    connection = connect(arguments)
    _api, version = find_object(connection, arguments.version, MODEL_VERSION)
    name, digest = version["metadata"]["name"], get_field(version, "status", "digest")
    if digest is None or get_field(version, "status", "verifiedAt") is None:
        why = find_condition(version).get("message", "")
        raise CommandError(f"ModelVersion '{name}' is not verified yet, so there is nothing to approve. {why}".rstrip())
    user = connection.user_name()
    approval = drop_empty({"by": user, "digest": digest, "reason": arguments.reason})
    changed = connection.change(version, MODEL_VERSION, {"spec": {"approval": approval}})
    print(f"ModelVersion '{name}' ({str(digest)[:15]}…) is approved by '{user}'")
    model = connection.get(MODEL, str(get_field(version, "spec", "model")))
    if get_field(model, "spec", "promotion") != "Approval":
        print(
            f"Model '{get_field(version, 'spec', 'model')}' does not wait for approvals; set its spec.promotion to Approval for that"
        )
    if warning := warn_of_git(changed, "spec.approval"):
        print(warning)
    return DONE

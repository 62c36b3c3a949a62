"""`flywheel doctor`: checks an installation and a namespace, and names what is broken and what to do."""

from argparse import ArgumentParser, Namespace
from typing import Any

from flywheel.cli.connection import add_release_option, connect
from flywheel.cli.doctor import cluster_checks, namespace_checks, server_checks
from flywheel.cli.doctor.inspection import Check, Installation, run_check
from flywheel.cli.errors import DONE, FAILED
from flywheel.cli.output import Column, add_output_option, print_objects
from flywheel.client.session import Options

DESCRIPTION = "Check an installation and a namespace: what is broken, and what to do about it. It changes nothing."
EXAMPLES = """\
examples:
  flywheel doctor -n shop
  flywheel doctor -n shop --release-namespace ml-platform
  flywheel doctor -n shop -o json | jq '.items[] | select(.state == "bad")'

The exit code is 1 if something is broken. What you may not read is not checked, and the line says so.
"""
CHECKS: dict[str, Check] = {
    "clock": cluster_checks.check_clock,
    "CRDs": cluster_checks.check_crds,
    "policies": cluster_checks.check_policies,
    "operator": server_checks.check_operator,
    "leader": server_checks.check_leader,
    "store": server_checks.check_store,
    "reader": server_checks.check_reader,
    "namespace": namespace_checks.check_namespace,
    "your rights": namespace_checks.check_rights,
    "service account": namespace_checks.check_account,
    "store Secret": namespace_checks.check_store_secret,
    "store access": namespace_checks.check_store_access,
    "images": namespace_checks.check_images,
    "objects": namespace_checks.check_objects,
}
SYMBOLS = {"good": "✓", "bad": "✗", "unknown": "?"}
STYLE_OF_STATE = {"good": "good", "bad": "bad", "unknown": "waiting"}
COLUMNS = (
    Column("", lambda row: SYMBOLS[row["state"]], style=lambda row: STYLE_OF_STATE[row["state"]]),
    Column("CHECK", "check"),
    Column("FINDING", "message", wrap=True, style=lambda row: "bad" if row["state"] == "bad" else ""),
)


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel doctor`."""
    add_release_option(parser)
    add_output_option(parser, ("table", "json", "yaml"))


def run(arguments: Namespace) -> int:
    """Runs all checks."""
    release = Options(release_namespace=arguments.release_namespace).with_environment().release_namespace
    rows = inspect(Installation(connect(arguments), str(release)))
    print_objects(rows, COLUMNS, output=arguments.output)
    bad = sum(row["state"] == "bad" for row in rows)
    if arguments.output == "table":
        unknown = sum(row["state"] == "unknown" for row in rows)
        print(f"\n{len(rows) - bad - unknown} good, {bad} broken, {unknown} not checked")
    return FAILED if bad else DONE


def inspect(installation: Installation) -> list[dict[str, Any]]:
    """Returns what every check finds, as rows of check, state and message."""
    return [
        {"check": name, "state": finding.state, "message": finding.message}
        for name, check in CHECKS.items()
        for finding in run_check(check, installation)
    ]

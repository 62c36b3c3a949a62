"""How a command that reads reaches the reader and the model servers."""

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace

from flywheel.cli.connection import connect
from flywheel.cli.output import escape_controls
from flywheel.client.session import Options, open_session
from flywheel.client.workspace import Workspace


def add_reader_options(parser: ArgumentParser) -> None:
    """Adds the options of every command that uses the reader."""
    group = parser.add_argument_group("the reader")
    group.add_argument(
        "--reader-url",
        metavar="URL",
        help="its address (FLYWHEEL_READER_URL; default: through the API server's proxy)",
    )
    group.add_argument(
        "--flywheel-namespace",
        metavar="NAME",
        help="where Flywheel is installed (FLYWHEEL_NAMESPACE_OF_RELEASE; default: flywheel-system)",
    )
    group.add_argument(
        "--service-account",
        metavar="[NS/]NAME",
        help="whose token is requested where yours does not do, as with a client certificate (FLYWHEEL_SERVICE_ACCOUNT)",
    )


def open_workspace(arguments: Namespace) -> Workspace:
    """Connects by the options.

    Raises:
        CommandError: there is no kubeconfig.
        FlywheelError: the address of the reader cannot be used.
    """
    connection = connect(arguments)
    given = Options(
        arguments.reader_url,
        arguments.flywheel_namespace,
        arguments.service_account,
        getattr(arguments, "token_file", None),
    )
    session = open_session(connection.client, connection.namespace, given.with_environment())
    return Workspace(replace(session, reader=replace(session.reader, notify=_print_note)))


def _print_note(text: str) -> None:
    print(f"flywheel: {escape_controls(text)}", file=sys.stderr)

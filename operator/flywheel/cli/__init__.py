"""The `flywheel` command."""

import argparse
import os
import sys
from collections.abc import Sequence

import flywheel
from flywheel.cluster.errors import ApiError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code: 0 done, 1 failed, 2 wrong usage."""
    # Imported here, since modules of commands import this package.
    from flywheel.cli import dry_run, export, lineage, promote, run
    from flywheel.cli.connection import add_options
    from flywheel.cli.errors import FAILED, CommandError, describe_api_error

    parser = argparse.ArgumentParser(
        prog="flywheel",
        description=str(flywheel.__doc__).partition("\n")[0],
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage. 'flywheel COMMAND --help' has examples.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {"run": run, "test": dry_run, "export": export, "lineage": lineage, "promote": promote}
    for name, command in modules.items():
        added = commands.add_parser(
            name,
            help=command.DESCRIPTION,
            description=command.DESCRIPTION,
            epilog=command.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(added)
        add_options(added)
        added.set_defaults(run=command.run)
    commands.add_parser("operator", help="run the operator in this process").set_defaults(run=_operator)
    commands.add_parser("version", help="print the version").set_defaults(run=_version)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except CommandError as error:
        print(f"flywheel: {error}", file=sys.stderr)
        return error.code
    except ApiError as error:
        print(f"flywheel: {describe_api_error(error)}", file=sys.stderr)
        return FAILED
    return code


def _operator(_arguments: argparse.Namespace) -> int:
    # Imported here, since other commands need neither kopf nor an event loop.
    from flywheel.engine import discover
    from flywheel.engine.process import run

    try:
        return run(discover.kinds(), os.environ)
    except ValueError as error:
        print(f"flywheel: {error}", file=sys.stderr)
        return 2


def _version(_arguments: argparse.Namespace) -> int:
    print(flywheel.__version__)
    return 0

"""The `flywheel` command."""

import argparse
import os
import sys
from collections.abc import Sequence

import flywheel
from flywheel.cluster.errors import ApiError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 wrong usage."""
    # Imported here, as what commands need is in their own functions: `flywheel operator` starts without them.
    from flywheel.cli import dry_run, export, lineage, promote, run
    from flywheel.cli.errors import FAILED, CommandError, describe_api_error

    parser = argparse.ArgumentParser(
        prog="flywheel",
        description=str(flywheel.__doc__).partition("\n")[0],
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage. 'flywheel COMMAND --help' has examples.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (run, dry_run, export, lineage, promote):
        command.add(commands)
    commands.add_parser("operator", help="run the operator in this process").set_defaults(run=_operator)
    commands.add_parser("version", help="print the version").set_defaults(run=_version)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except CommandError as failure:
        print(f"flywheel: {failure}", file=sys.stderr)
        return failure.code
    except ApiError as error:
        print(f"flywheel: {describe_api_error(error)}", file=sys.stderr)
        return FAILED
    return code


def _operator(_chosen: argparse.Namespace) -> int:
    # Imported here: other commands need neither kopf nor a server's loop.
    from flywheel.engine import discover
    from flywheel.engine.run import run

    try:
        return run(discover.kinds(), os.environ)
    except ValueError as error:
        print(f"flywheel: {error}", file=sys.stderr)
        return 2


def _version(_chosen: argparse.Namespace) -> int:
    print(flywheel.__version__)
    return 0

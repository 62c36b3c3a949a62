"""The `flywheel` command."""

import argparse
import os
import sys
from collections.abc import Sequence

import flywheel


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="flywheel", description=flywheel.__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("operator", help="run the operator in this process").set_defaults(run=_operator)
    commands.add_parser("version", help="print the version").set_defaults(run=_version)
    chosen = parser.parse_args(arguments)
    code: int = chosen.run()
    return code


def _operator() -> int:
    # Imported here: other commands need neither the Kubernetes client nor kopf.
    from flywheel.engine import discover
    from flywheel.engine.run import run

    try:
        return run(discover.kinds(), os.environ)
    except ValueError as error:
        print(f"flywheel: {error}", file=sys.stderr)
        return 2


def _version() -> int:
    print(flywheel.__version__)
    return 0

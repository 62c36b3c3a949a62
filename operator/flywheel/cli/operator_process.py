"""`flywheel operator`: what the operator's image runs."""

import os
from argparse import ArgumentParser, Namespace

from flywheel.cli.errors import WRONG_USAGE, CommandError

DESCRIPTION = "Run the operator in this process, as its Deployment does. Its settings are environment variables."
EXAMPLES = """\
It needs the extra 'operator', in a checkout: pip install '.[operator]'
"""


def add_arguments(_parser: ArgumentParser) -> None:
    """Adds nothing."""


def run(_arguments: Namespace) -> int:
    """Runs the operator until a signal ends it."""
    try:
        from flywheel.engine import discover
        from flywheel.engine.process import run as run_operator
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the operator needs the Python package '{error.name}'; install the extra 'operator', "
            "in a checkout of Flywheel with: pip install '.[operator]'"
        ) from None
    try:
        return run_operator(discover.kinds(), os.environ)
    except ValueError as error:
        raise CommandError(str(error), WRONG_USAGE) from None

"""`flywheel version`: prints the version of this command."""

from argparse import ArgumentParser, Namespace

import flywheel
from flywheel.cli.errors import DONE

DESCRIPTION = "Print the version of this command."
EXAMPLES = """\
examples:
  flywheel version
"""


def add_arguments(_parser: ArgumentParser) -> None:
    """Adds nothing."""


def run(_arguments: Namespace) -> int:
    """Prints the version."""
    print(flywheel.__version__)
    return DONE

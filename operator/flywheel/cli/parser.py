"""How commands describe themselves."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_command(commands: "_SubParsersAction[ArgumentParser]", name: str, story: str, examples: str) -> ArgumentParser:
    """A command with its story and examples in `--help`."""
    return commands.add_parser(
        name, help=story, description=story, epilog=examples, formatter_class=RawDescriptionHelpFormatter
    )

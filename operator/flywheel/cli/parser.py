"""How a command is added to the parser."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_command(
    commands: "_SubParsersAction[ArgumentParser]", name: str, description: str, examples: str
) -> ArgumentParser:
    """Adds a command, with its description and examples in `--help`."""
    return commands.add_parser(
        name, help=description, description=description, epilog=examples, formatter_class=RawDescriptionHelpFormatter
    )

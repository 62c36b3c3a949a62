"""`flywheel completion`: completes commands, options, and the names of the cluster's objects, in bash, zsh, fish and `kubectl flywheel`."""

import os
import sys
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Callable, Iterable

import argcomplete
from argcomplete.finders import CompletionFinder
from argcomplete.shell_integration import shellcode

from flywheel.cli import make_parser
from flywheel.cli.connection import connect
from flywheel.cli.errors import DONE, CommandError
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Api

SHELLS = ("bash", "zsh", "fish")
NO_FILES = ":4"  # the directive by which a plugin's completion tells kubectl not to add file names
DESCRIPTION = "Print the completion of a shell: commands, options, and the names of objects in the cluster."
EXAMPLES = """\
examples:
  source <(flywheel completion bash)              in ~/.bashrc
  source <(flywheel completion zsh)               in ~/.zshrc, after compinit
  flywheel completion fish | source               in ~/.config/fish/config.fish

'kubectl flywheel' is completed by kubectl's own completion.
"""
Completer = Callable[..., list[str]]


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(arguments: Namespace) -> int:
    """Prints the shell's code."""
    print(shellcode(["flywheel"], shell=arguments.shell))
    return DONE


def complete_names(action: Action, *apis: Api, with_kind: bool = False) -> None:
    """Lets an argument be completed by the names of objects of these kinds, as NAME or KIND/NAME. A cluster that is away completes nothing."""

    def names(prefix: str, parsed_args: Namespace, **_more: object) -> list[str]:
        try:
            found = _names(parsed_args, apis, with_kind=with_kind)
            return sorted(name for name in found if name.startswith(prefix))
        except (ApiError, CommandError):
            return []

    action.completer = names  # type: ignore[attr-defined]


def _names(arguments: Namespace, apis: Iterable[Api], *, with_kind: bool) -> Iterable[str]:
    connection = connect(arguments)
    for api in apis:
        for each in connection.client.list_metadata(api, connection.namespace).get("items") or ():
            name = str(each["metadata"]["name"])
            yield f"{api.kind.lower()}/{name}" if with_kind else name


def complete_line() -> None:
    """Completes the line that a shell is at, and ends the process."""
    argcomplete.autocomplete(make_parser(os.environ.get("COMP_LINE", "").split()), always_complete_options=False)


def complete_for_kubectl() -> int:
    """Prints the completions of `kubectl flywheel`, as kubectl asks its plugins for them, one a line and a directive."""
    words = sys.argv[1:] or [""]
    finder = CompletionFinder(make_parser(words), always_complete_options=False)
    for each in finder._get_completions(["flywheel", *words[:-1]], words[-1], "", None):  # type: ignore[no-untyped-call]
        print(each.rstrip())
    print(NO_FILES)
    return DONE

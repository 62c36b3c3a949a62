"""`flywheel completion`: completes commands, options, and the names of the cluster's objects, in bash, zsh, fish and `kubectl flywheel`."""

import os
import sys
from argparse import Action, ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Callable, Iterable, Iterator

from flywheel.cli import make_parser
from flywheel.cli.connection import NAMESPACES, connect
from flywheel.cli.errors import DONE, CommandError
from flywheel.cli.resource_names import APIS
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import api
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
# What an argument is completed with, by its metavar, or by the name of its option.
KINDS_OF_ARGUMENTS = {
    "MODEL": api.MODEL,
    "MONITOR": api.MODEL_MONITOR,
    "MODELVERSION": api.MODEL_VERSION,
    "PIPELINE": api.TRAINING_PIPELINE,
    "RUN": api.TRAINING_RUN,
    "experiment": api.EXPERIMENT,
    "pipeline": api.TRAINING_PIPELINE,
    "service": api.INFERENCE_SERVICE,
    "namespace": NAMESPACES,
}
OF_ANY_KIND = ("KIND/NAME", "TARGET")
Completer = Callable[..., list[str]]


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel completion`."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run(arguments: Namespace) -> int:
    """Prints the shell's code."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["flywheel"], shell=arguments.shell))
    return DONE


def complete_line() -> None:
    """Completes the line that a shell is at, and ends the process."""
    import argcomplete

    argcomplete.autocomplete(
        make_completed_parser(os.environ.get("COMP_LINE", "").split()), always_complete_options=False
    )


def complete_for_kubectl() -> int:
    """Prints the completions of `kubectl flywheel`, as kubectl asks its plugins for them, one a line and a directive."""
    from argcomplete.finders import CompletionFinder

    words = sys.argv[1:] or [""]
    finder = CompletionFinder(make_completed_parser(words), always_complete_options=False)
    for each in finder._get_completions(["flywheel", *words[:-1]], words[-1], "", None):  # type: ignore[no-untyped-call]
        print(each.rstrip())
    print(NO_FILES)
    return DONE


def make_completed_parser(words: list[str]) -> ArgumentParser:
    """Returns the parser whose arguments know how they are completed."""
    parser = make_parser(words)
    for action in _actions(parser):
        completer = find_completer(action)
        if completer is not None:
            action.completer = completer  # type: ignore[attr-defined]
    return parser


def find_completer(action: Action) -> Completer | None:
    """Returns what completes an argument with names of the cluster, or None."""
    if action.metavar in OF_ANY_KIND:
        return _completer(APIS, with_kind=True)
    kind = KINDS_OF_ARGUMENTS.get(str(action.metavar)) or KINDS_OF_ARGUMENTS.get(action.dest)
    return None if kind is None else _completer((kind,), with_kind=False)


def _actions(parser: ArgumentParser) -> Iterator[Action]:
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for each in action.choices.values():
                yield from _actions(each)
        else:
            yield action


def _completer(apis: Iterable[Api], *, with_kind: bool) -> Completer:
    """Returns a completer by names of objects of these kinds. A cluster that is away completes nothing."""

    def names(prefix: str, parsed_args: Namespace, **_more: object) -> list[str]:
        try:
            found = list(_names(parsed_args, apis, with_kind=with_kind))
        except (ApiError, CommandError):
            return []
        return sorted(name for name in found if name.startswith(prefix))

    return names


def _names(arguments: Namespace, apis: Iterable[Api], *, with_kind: bool) -> Iterable[str]:
    connection = connect(arguments)
    for each_api in apis:
        namespace = None if each_api == NAMESPACES else connection.namespace
        for each in connection.client.list_metadata(each_api, namespace).get("items") or ():
            name = str(each["metadata"]["name"])
            yield f"{each_api.kind.lower()}/{name}" if with_kind else name

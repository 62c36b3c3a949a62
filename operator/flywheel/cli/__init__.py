"""The `flywheel` command."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import flywheel


@dataclass(frozen=True)
class Command:
    """One subcommand. `module` has DESCRIPTION, EXAMPLES, `add_arguments` and `run`, and is imported when the command is used."""

    name: str
    module: str
    summary: str  # one line of `flywheel --help`
    connects: bool = True  # takes --namespace and --context


# The groups of `flywheel --help`, each with its commands.
COMMANDS = {
    "train and release": (
        Command("run", "flywheel.cli.run", "start a TrainingPipeline now, and follow it"),
        Command("cancel", "flywheel.cli.decisions.cancel", "cancel a run; suspend a search or a batch"),
        Command("approve", "flywheel.cli.decisions.approve", "approve a version, in your name"),
        Command("reject", "flywheel.cli.decisions.reject", "exclude a version from promotion"),
        Command("pin", "flywheel.cli.decisions.pin", "pin a version as champion, or unset the pin"),
        Command("rollback", "flywheel.cli.decisions.rollback", "pin the champion of before"),
        Command("promote", "flywheel.cli.promote", "write a version as manifests for another namespace or cluster"),
        Command("import", "flywheel.cli.mlflow_import", "runs and models of an MLflow server", connects=False),
    ),
    "see what is there": (
        Command("status", "flywheel.cli.overview.status", "a namespace as one tree, from data to services"),
        Command("explain", "flywheel.cli.overview.explanation", "why something is not ready, and the next step"),
        Command("lineage", "flywheel.cli.lineage", "where a version comes from and what it led to"),
        Command("export", "flywheel.cli.export", "a version as model card, ML-BOM or JSON"),
    ),
    "read what was tracked": (
        Command("trials", "flywheel.cli.read.list_trials", "recorded trials, searched and ordered"),
        Command("compare", "flywheel.cli.read.compare_trials", "trials side by side, what differs first"),
        Command("logs", "flywheel.cli.read.print_logs", "the log of a trial or a step, live or recorded"),
        Command("predict", "flywheel.cli.read.predict_rows", "rows of a file to the service of a model"),
        Command("predictions", "flywheel.cli.read.print_predictions", "rows that a service has logged"),
        Command("why", "flywheel.cli.read.explain_prediction", "one prediction: its reasons, replayed, as a receipt"),
        Command("label", "flywheel.cli.read.label_rows", "which logged rows to label, and posting their labels"),
        Command("download", "flywheel.cli.read.download_files", "files of a model, a dataset, a report or a trial"),
    ),
    "set up": (
        Command("doctor", "flywheel.cli.doctor", "check an installation, and name what is broken"),
        Command("init", "flywheel.cli.scaffold", "look at a CSV file, and write manifests that run", connects=False),
        Command("test", "flywheel.cli.dry_run", "would the cluster accept a manifest and all that it leads to?"),
        Command("completion", "flywheel.cli.completion", "print the completion of bash, zsh or fish", connects=False),
        Command("operator", "flywheel.cli.operator_process", "run the operator in this process", connects=False),
        Command("version", "flywheel.cli.version", "print the version", connects=False),
    ),
}
BY_NAME = {command.name: command for group in COMMANDS.values() for command in group}
EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 ended by Ctrl-C, 141 the reader of a pipe went away."


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code (EXIT_CODES)."""
    # Imported here, since modules of commands import this package.
    from flywheel.cli.errors import INTERRUPTED, PIPE_CLOSED
    from flywheel.cli.output import configure_streams

    configure_streams()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what the line may go on with
        importlib.import_module("flywheel.cli.completion").complete_line()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter would otherwise report a second error when it flushes the stream at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return code


def make_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Returns the parser, with the arguments of those commands alone that are among `words`, so that no other is imported."""
    parser = argparse.ArgumentParser(
        prog=program_name(),
        usage="%(prog)s COMMAND [OPTIONS]",
        description=f"{str(flywheel.__doc__).partition(chr(10))[0]}\n\n{_summaries()}",
        epilog=f"'flywheel COMMAND --help' has the options of a command and examples.\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=flywheel.__version__, help="print the version, and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS)
    for command in BY_NAME.values():
        module = importlib.import_module(command.module) if command.name in words else None
        added = commands.add_parser(
            command.name,
            prog=f"{program_name()} {command.name}",
            description=getattr(module, "DESCRIPTION", None),
            epilog=getattr(module, "EXAMPLES", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if module is None:
            continue
        module.add_arguments(added)
        if command.connects:
            importlib.import_module("flywheel.cli.connection").add_options(added)
        added.set_defaults(run=module.run)
    return parser


def program_name() -> str:
    """Returns what the user typed: `flywheel`, or `kubectl flywheel` where kubectl calls this as its plugin."""
    return "kubectl flywheel" if Path(sys.argv[0]).name.startswith("kubectl") else "flywheel"


def _run(words: list[str]) -> int:
    from flywheel.cli.errors import FAILED, WRONG_USAGE, CommandError
    from flywheel.client.controls import escape_lines
    from flywheel.client.errors import FlywheelError
    from flywheel.cluster.errors import ApiError

    parser = make_parser(words)
    if not words:
        parser.print_help()
        return WRONG_USAGE
    arguments = parser.parse_args(words)
    try:
        code: int = arguments.run(arguments)
    except CommandError as error:
        print(f"flywheel: {escape_lines(str(error))}", file=sys.stderr)
        return error.code
    except FlywheelError as error:
        print(f"flywheel: {escape_lines(error.message)}", file=sys.stderr)
        return FAILED
    except ApiError as error:
        print(f"flywheel: {escape_lines(error.describe())}", file=sys.stderr)
        return FAILED
    return code


def _summaries() -> str:
    lines = []
    for group, commands in COMMANDS.items():
        lines += [f"{group}:", *(f"  {each.name:<12} {each.summary}" for each in commands), ""]
    return "\n".join(lines).rstrip()

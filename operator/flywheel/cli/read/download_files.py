"""`flywheel download`: files of models, data, reports and trials, verified and resumed."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from flywheel.cli.connection import add_reader_options, open_workspace
from flywheel.cli.errors import DONE, WRONG_USAGE, CommandError
from flywheel.cli.read.download_progress import show_progress
from flywheel.client.controls import escape_controls
from flywheel.client.downloads import RemoteFile, remote_file, save_files
from flywheel.client.objects.live_model import LiveModelVersion
from flywheel.client.transport.reader import path_of
from flywheel.client.workspace import Workspace

DESCRIPTION = "Download the files of a model, a dataset, a report or a trial; each is verified by its SHA-256, and an interrupted download goes on."
EXAMPLES = """\
examples:
  flywheel download model flight-delay                       the champion's artifact, into ./flight-delay-3f9a1c2e
  flywheel download version flight-delay-3f9a1c2e --file model.onnx --to models
  flywheel download dataset flights --file 'train*'
  flywheel download report flight-delay-monthly-x7k2p --step evaluate
  flywheel download trial flight-delay/7                     its metrics, curves and logged files
  flywheel download logs flight-delay/7

Models and datasets need the verb read-data (ClusterRole flywheel-data-reader). A file with other content is overwritten with --force alone.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel download`."""
    parser.add_argument("what", metavar="WHAT", choices=tuple(FILES), help=", ".join(FILES))
    parser.add_argument("name", metavar="NAME", help="its name; of a trial EXPERIMENT/NUMBER or the id")
    parser.add_argument("--to", metavar="FOLDER", help="where to (default: a folder with the name)")
    parser.add_argument(
        "--file", action="append", metavar="PATTERN", help="only these files, such as 'model.onnx'; may be repeated"
    )
    parser.add_argument("--version", metavar="NAME", help="of a dataset (default: the current one)")
    parser.add_argument("--step", help="of a report: the step of the TrainingRun")
    parser.add_argument("--force", action="store_true", help="overwrite files with other content")
    add_reader_options(parser)


def run(arguments: Namespace) -> int:
    """Downloads the files and prints their paths."""
    workspace = open_workspace(arguments)
    name, files = FILES[arguments.what](workspace, arguments)
    chosen = [each for each in files if is_chosen(each.target, arguments.file)]
    if not chosen:
        raise CommandError(
            f"no file of {name} matches {', '.join(arguments.file or [])}; it has {', '.join(each.target for each in files[:20])}"
        )
    folder = Path(arguments.to) if arguments.to else Path(name.replace("/", "-"))
    try:
        with show_progress(sum(each.size or 0 for each in chosen)) as progress:
            paths = save_files(workspace.session.reader, chosen, folder, force=arguments.force, progress=progress)
    except OSError as error:
        raise CommandError(f"'{error.filename or folder}' cannot be written: {error.strerror}") from None
    for path in paths:
        print(escape_controls(str(path)))
    return DONE


def is_chosen(path: str, patterns: Sequence[str] | None) -> bool:
    """Returns whether a path matches one of the patterns; all do where there are none."""
    return not patterns or any(fnmatchcase(path, pattern) for pattern in patterns)


def _model_files(workspace: Workspace, arguments: Namespace) -> tuple[str, list[RemoteFile]]:
    champion = workspace.model(arguments.name).champion()
    return champion.name, champion.files()


def _version_files(workspace: Workspace, arguments: Namespace) -> tuple[str, list[RemoteFile]]:
    return arguments.name, LiveModelVersion(workspace.session, arguments.name).files()


def _dataset_files(workspace: Workspace, arguments: Namespace) -> tuple[str, list[RemoteFile]]:
    dataset = workspace.dataset(arguments.name)
    version = dataset.version_name(arguments.version)
    return version, dataset.files(version)


def _report_files(workspace: Workspace, arguments: Namespace) -> tuple[str, list[RemoteFile]]:
    if arguments.step is None:
        raise CommandError("a report belongs to a step; name it with --step", WRONG_USAGE)
    base = path_of(workspace.namespace, "trainingruns", arguments.name, "steps", arguments.step, "report")
    files = [RemoteFile(base, "report.json"), RemoteFile(base, "report.md", query=(("format", "md"),))]
    message = workspace.session.reader.get_json(base).get("message")
    if message:  # the page names what the report leaves out
        sys.stderr.write(f"report.md is not downloaded: {escape_controls(str(message))}\n")
    return f"{arguments.name}-{arguments.step}", files[:1] if message else files


def _trial_files(workspace: Workspace, arguments: Namespace) -> tuple[str, list[RemoteFile]]:
    trial = workspace.trial(arguments.name)
    return arguments.name, [
        remote_file(trial.file_path(str(each["path"])), each, query=trial.owner) for each in trial.files()
    ]


def _log_files(workspace: Workspace, arguments: Namespace) -> tuple[str, list[RemoteFile]]:
    trial = workspace.trial(arguments.name)
    path = path_of(workspace.namespace, "trials", trial.id, "log")
    return arguments.name, [RemoteFile(path, "main.log", query=trial.owner)]


FILES: dict[str, Callable[[Workspace, Namespace], tuple[str, list[RemoteFile]]]] = {
    "model": _model_files,
    "version": _version_files,
    "dataset": _dataset_files,
    "report": _report_files,
    "trial": _trial_files,
    "logs": _log_files,
}

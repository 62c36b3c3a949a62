"""`flywheel run`: starts a TrainingPipeline now, and follows the run with --wait; with --local it runs one step on this machine."""

import re
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.cli.connection import READER_OPTIONS, Connection, add_reader_options, connect, open_workspace
from flywheel.cli.errors import DONE, FAILED, INTERRUPTED, MAX_FAILED_POLLS, WRONG_USAGE, CommandError
from flywheel.cli.fields import drop_empty, get_field, list_objects
from flywheel.client.controls import escape_controls, escape_lines
from flywheel.client.objects.live_objects import new_run
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import TRAINING_PIPELINE, TRAINING_RUN, Manifest
from flywheel.core.resource.conditions import find_condition
from flywheel.core.resource.values import Duration

if TYPE_CHECKING:
    from flywheel.client.training.local_run import LocalRun
    from flywheel.client.training.local_step import LocalStep

DESCRIPTION = """\
Start a TrainingPipeline now: creates a TrainingRun, and with --wait follows it to its end.
With --local one step with Python code of yours runs on this machine, on the first rows of its Datasets."""
EXAMPLES = """\
examples:
  flywheel run flight-delay-monthly
  flywheel run flight-delay-monthly -p months=6 --wait
  flywheel run flight-delay-monthly --reproduce-of flight-delay-monthly-x7k2p --wait
  flywheel run flight-delay-monthly --local --step features --rows 500
  flywheel run flight-delay-monthly --local --step fit --input data=./sample --code train.py

With --wait or --local, the exit code is 0 if the run succeeded, 1 if it failed.
"""
PARAMETER = re.compile(r"([a-z][A-Za-z0-9_]{0,39})=(.*)", re.DOTALL)
POLL_SECONDS = 1.0


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel run`."""
    parser.add_argument("pipeline", metavar="PIPELINE", help="the TrainingPipeline")
    parser.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the pipeline; may be repeated",
    )
    parser.add_argument("--revision", help="one of the pipeline's revisions (default: the live one)")
    parser.add_argument(
        "--reproduce-of", metavar="RUN", help="repeat what that TrainingRun did, and compare the results"
    )
    parser.add_argument("--wait", action="store_true", help="follow the run until it ends")
    parser.add_argument("--timeout", metavar="TIME", help="how long --wait waits, such as 2h (default: until the end)")
    group = parser.add_argument_group("on this machine")
    group.add_argument("--local", action="store_true", help="run one step here, and create nothing on the cluster")
    group.add_argument("--step", metavar="NAME", help="the step of --local")
    group.add_argument(
        "--rows", type=int, default=1000, metavar="N", help="rows of each split of a Dataset (default: 1000)"
    )
    group.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="a folder as an input of the step, such as one that another step makes; may be repeated",
    )
    group.add_argument("--code", type=Path, metavar="FILE", help="a Python file in place of the step's command")
    group.add_argument("--yes", action="store_true", help="run the pipeline's program without asking, as in a script")
    add_reader_options(parser, "the reader, which gives --local the rows of Datasets")


def run(arguments: Namespace) -> int:
    """Creates the TrainingRun, or runs a step here."""
    if arguments.local:
        return run_locally(arguments)
    if arguments.step is not None or arguments.input or arguments.code is not None or arguments.yes:
        raise CommandError("--step, --input, --code and --yes need --local", WRONG_USAGE)
    if any(getattr(arguments, option) is not None for option in READER_OPTIONS):
        raise CommandError("the options of the reader need --local", WRONG_USAGE)
    given, seconds = parse_parameters(arguments.parameter), _seconds(arguments)
    if arguments.reproduce_of is not None and given:
        raise CommandError("--reproduce-of takes the parameters of that run; leave -p out", WRONG_USAGE)
    connection = connect(arguments)
    connection.require(TRAINING_PIPELINE, arguments.pipeline)
    fields = drop_empty({"parameters": given, "revision": arguments.revision, "reproduceOf": arguments.reproduce_of})
    made = connection.client.create(TRAINING_RUN, new_run(connection.namespace, arguments.pipeline, fields))
    name = str(made["metadata"]["name"])
    print(f"TrainingRun '{name}' in namespace '{connection.namespace}' was created", flush=True)
    if not arguments.wait:
        print(f"'flywheel explain trainingrun/{name} -n {connection.namespace} --watch' shows its progress")
        return DONE
    try:
        return follow(connection, name, seconds)
    except KeyboardInterrupt:
        print(f"\nThe run continues. To cancel it: flywheel cancel {name} -n {connection.namespace}")
        return INTERRUPTED


def run_locally(arguments: Namespace) -> int:
    """Runs one step of the pipeline on this machine."""
    # Imported here, since the other runs need no step of a pipeline.
    from flywheel.client.training.local_run import run_local_step
    from flywheel.client.training.local_step import LocalFiles, plan_local_step
    from flywheel.kinds.trainingpipeline.schema.spec import TrainingPipelineSpec

    if arguments.step is None or arguments.wait or arguments.revision or arguments.reproduce_of or arguments.rows < 1:
        raise CommandError(
            "--local needs --step NAME and at least one row, and takes no --wait, --revision and --reproduce-of",
            WRONG_USAGE,
        )
    files = LocalFiles(parse_folders(arguments.input), arguments.code)
    session = open_workspace(arguments).session
    pipeline = TrainingPipelineSpec.model_validate(session.require(TRAINING_PIPELINE, arguments.pipeline)["spec"])
    today = datetime.now(UTC).date()
    step = plan_local_step(pipeline, arguments.step, parse_parameters(arguments.parameter), files, today)
    confirm_program(step, arguments)
    ended = run_local_step(session, step, arguments.rows, lambda line: print(escape_controls(line), flush=True))
    for name, value in sorted((ended.metrics or {}).items()):
        print(f"{escape_controls(name)} = {value}")
    print(f"The step's files are in {ended.folder}")
    if not ended.succeeded:
        raise CommandError(describe_end(arguments.step, ended))
    return DONE


def confirm_program(step: "LocalStep", arguments: Namespace) -> None:
    """Shows a program that comes from the cluster, and asks whether it may run here. A file of --code is the user's own.

    Raises:
        CommandError: it may not, or nobody can be asked.
    """
    if step.is_own_code:
        return
    print(f"Step '{step.name}' of TrainingPipeline '{arguments.pipeline}' would run on this machine, as you:")
    print(*(f"  {line}" for each in step.describe() for line in escape_lines(each).splitlines()), sep="\n", flush=True)
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("this program comes from the cluster; repeat with --yes if it may run here, or give --code")
    print("Run it? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was run")


def describe_end(step: str, ended: "LocalRun") -> str:
    """Returns why a step that ended here would have failed on the cluster."""
    if ended.exit_code != 0:
        return f"step '{step}' ended with exit code {ended.exit_code}; its last lines say why"
    if ended.metrics is None:
        return f"step '{step}' wrote no metrics.json; end it with run.finish({{…}}), or write the file last"
    missing = ", ".join(ended.missing)
    return f"step '{step}' wrote nothing into its outputs {missing}; write files to $FLYWHEEL_ROOT/outputs/<name>/"


def parse_folders(given: Sequence[str]) -> dict[str, Path]:
    """Parses `["data=./sample"]`.

    Raises:
        CommandError: one has another form, or is no folder.
    """
    found: dict[str, Path] = {}
    for each in given:
        name, separator, folder = each.partition("=")
        if not (name and separator and Path(folder).is_dir()):
            raise CommandError(f"--input {each}: write NAME=FOLDER with a folder that exists", WRONG_USAGE)
        found[name] = Path(folder)
    return found


def parse_parameters(given: Sequence[str]) -> dict[str, str]:
    """Parses `["months=6"]`. Values stay texts, to which the pipeline gives its types.

    Raises:
        CommandError: one has another form, or is given twice.
    """
    found: dict[str, str] = {}
    for each in given:
        parts = PARAMETER.fullmatch(each)
        if parts is None:
            raise CommandError(f"-p {each}: write NAME=VALUE, such as -p months=6", WRONG_USAGE)
        if parts[1] in found:
            raise CommandError(f"-p {parts[1]} is given twice; give it once", WRONG_USAGE)
        found[parts[1]] = parts[2]
    return found


def follow(connection: Connection, name: str, seconds: float | None) -> int:
    """Prints each change of the run and its steps as one line until the run ends. Returns the exit code."""
    ends = None if seconds is None else time.monotonic() + seconds
    printed: dict[str, str] = {}
    failures = 0
    while True:
        try:
            found = connection.get(TRAINING_RUN, name)
            failures = 0
        except ApiError as error:
            failures += 1
            if failures >= MAX_FAILED_POLLS or error.forbidden:
                raise
            found = {}
        if found is None:
            raise CommandError(f"TrainingRun '{name}' was deleted while it ran; 'flywheel run' starts another")
        for subject, line in changes(found, printed):
            printed[subject] = line
            print(f"{datetime.now(UTC):%H:%M:%S} {escape_controls(line)}", flush=True)
        succeeded = find_condition(found, "Succeeded").get("status")
        if succeeded in ("True", "False"):
            return DONE if succeeded == "True" else FAILED
        if ends is not None and time.monotonic() >= ends:
            raise CommandError(
                f"TrainingRun '{name}' has not ended within --timeout; it continues, and 'flywheel explain trainingrun/{name}' shows its progress"
            )
        time.sleep(POLL_SECONDS)


def changes(run: Manifest, printed: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yields the lines that differ from `printed`, by subject: each step, then the run itself."""
    for step in list_objects(run, "status", "steps"):
        line = _step(step)
        if line is not None and printed.get(f"step {step.get('name')}") != line:
            yield f"step {step.get('name')}", line
    ready = find_condition(run, "Succeeded") or find_condition(run, "Ready")
    line = f"{ready.get('reason')}: {ready.get('message')}"
    if ready and printed.get("run") != line:
        yield "run", line


def _step(step: Any) -> str | None:
    state = get_field(step, "state")
    if state in (None, "Waiting"):
        return None
    cache = ", from the cache" if get_field(step, "cache") == "Hit" else ""
    message = f": {get_field(step, 'message')}" if get_field(step, "message") else ""
    return f"step '{get_field(step, 'name')}' {state}{cache}{message}"


def _seconds(arguments: Namespace) -> float | None:
    if arguments.timeout is None:
        return None
    if not arguments.wait:
        raise CommandError("--timeout needs --wait", WRONG_USAGE)
    try:
        return float(Duration.parse(arguments.timeout).seconds)
    except ValueError as error:
        raise CommandError(f"--timeout: {error}", WRONG_USAGE) from None

"""`flywheel label`: the logged rows whose labels say most about a model, and posting these labels."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import UTC, datetime
from pathlib import Path

from flywheel.cli.connection import add_reader_options, open_workspace
from flywheel.cli.errors import DONE, WRONG_USAGE, CommandError
from flywheel.cli.read.moments import parse_moment
from flywheel.client.controls import escape_controls
from flywheel.client.errors import FlywheelError
from flywheel.client.labels.feedback import encode_labels, feedback_path, lacks_route, post_labels
from flywheel.client.labels.label_queue import LabelQueue, LabelRequest, draw_queue
from flywheel.client.labels.monitored_service import MonitoredService
from flywheel.client.labels.queue_file import read_labels, write_queue
from flywheel.client.transport.model_services import service_host
from flywheel.client.workspace import Workspace
from flywheel.core.resource.api import INFERENCE_SERVICE, MODEL_MONITOR
from flywheel.core.resource.values import format_time

DESCRIPTION = "Choose the logged rows whose labels say most about a model, and post the labels with the weights that make the answer right."
EXAMPLES = """\
examples:
  flywheel label flight-delay --to-within 0.01                      how many labels tell the error rate to ±1 %
  flywheel label flight-delay --rows 140 --output queue.csv         write those rows; fill in the column 'label'
  flywheel label flight-delay --rows 300 --output queue.csv         more rows of the same draw; labels in the file stay
  flywheel label flight-delay --submit queue.csv                    post the labels; the ModelMonitor's next run joins them

Rows of which the model is unsure are drawn more often, and count for less. A part of the labels is right too, if the first rows are labelled.
Reading rows needs the verb read-data on the InferenceService, posting labels the verb label (ClusterRole flywheel-labeler).
"""
DEFAULT_LABELS = 100


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel label`."""
    parser.add_argument("monitor", metavar="MONITOR", help="the ModelMonitor, whose metric the labels tell")
    number = parser.add_mutually_exclusive_group()
    number.add_argument(
        "--rows",
        type=_parse_rows,
        metavar="N",
        help=f"about N rows (default: {DEFAULT_LABELS}); each is drawn by itself",
    )
    number.add_argument(
        "--to-within",
        type=_parse_width,
        metavar="X",
        help="as many as make half of the 95%% interval X, such as 0.01 (one percent) of an error rate",
    )
    number.add_argument("--submit", metavar="FILE", help="post the labels of this file, which --output wrote")
    parser.add_argument("--output", metavar="FILE", help="write the rows to this CSV file, or extend it")
    parser.add_argument(
        "--since", type=parse_moment, metavar="TIME", help="of whole windows from then on: 6h, 2d ago, or a time (24h)"
    )
    parser.add_argument(
        "--until", type=parse_moment, metavar="TIME", help="up to then (default: the last whole window)"
    )
    parser.add_argument(
        "--by", action="append", metavar="COLUMN", help="each value of it has labels (default: spec.fairness.by)"
    )
    parser.add_argument("--version", metavar="NAME", help="of the model (default: the one that is served)")
    parser.add_argument(
        "--print", action="store_true", help="with --submit: print the requests, in place of posting them"
    )
    parser.add_argument("--token-file", metavar="FILE", help="a token for the service (FLYWHEEL_TOKEN_FILE)")
    parser.add_argument(
        "--audience", metavar="NAME", help="of the token of --service-account, where the service shares one with others"
    )
    add_reader_options(parser)


def run(arguments: Namespace) -> int:
    """Offers rows, or posts labels."""
    workspace = open_workspace(arguments)
    monitored = MonitoredService.from_manifest(workspace.session.require(MODEL_MONITOR, arguments.monitor))
    if arguments.submit is None:
        if arguments.print:
            raise CommandError("--print shows what --submit posts; give both, or none", WRONG_USAGE)
        return _offer(workspace, monitored, arguments)
    if arguments.output is not None:
        raise CommandError(
            "--submit posts the labels of a file, and --output writes one; give one of them", WRONG_USAGE
        )
    return _submit(workspace, monitored, arguments)


def _offer(workspace: Workspace, monitored: MonitoredService, arguments: Namespace) -> int:
    now = datetime.now(UTC)
    period = monitored.period(arguments.since, arguments.until, now)
    labels = None if arguments.to_within is not None else arguments.rows or DEFAULT_LABELS
    wanted = LabelRequest(labels, arguments.to_within, tuple(arguments.by or ()), arguments.version)
    queue = draw_queue(workspace.session, monitored, period, wanted)
    if not queue.rows:
        raise CommandError(f"no row was drawn of {queue.logged:,}; give a larger --rows")
    if arguments.output is not None:
        before = write_queue(Path(arguments.output), queue.rows)
        print(escape_controls(f"{arguments.output} has {len(queue.rows) + before:,} rows: fill in the column 'label'."))
    for note in _notes(monitored, queue, now):
        print(f"note: {escape_controls(note)}", file=sys.stderr)
    print(escape_controls(f"{queue.answer}{_next_step(monitored, arguments)}"))
    return DONE


def _next_step(monitored: MonitoredService, arguments: Namespace) -> str:
    if arguments.output is None:
        return "; --output FILE writes them."
    if monitored.dataset is not None:
        return f"; then add the file's rows to Dataset '{monitored.dataset}'."
    return f"; then: flywheel label {monitored.name} --submit {arguments.output}"


def _notes(monitored: MonitoredService, queue: LabelQueue, now: datetime) -> list[str]:
    """What a user should know before the work."""
    notes = []
    if not monitored.is_labelled:
        notes.append(
            f"ModelMonitor '{monitored.name}' joins no labels; set spec.groundTruth and spec.performance, before they are posted."
        )
    if monitored.dataset is None:
        last = queue.start + monitored.max_delay
        said = "are too late now" if last <= now else f"count until {format_time(last)}"
        notes.append(f"labels of the first of these rows {said} (spec.groundTruth.delay.max after the prediction).")
    if queue.least_per_window < monitored.min_rows:
        notes.append(
            f"the report has the estimate from all of these labels; a window alone is tested with {monitored.min_rows:,} labels or more (spec.minRows)."
        )
    return notes


def _submit(workspace: Workspace, monitored: MonitoredService, arguments: Namespace) -> int:
    labels, without = read_labels(Path(arguments.submit))
    if not labels:
        raise CommandError(f"{arguments.submit} has no label in its {without:,} rows; fill in the column 'label'")
    if arguments.print:
        for body in encode_labels(labels):
            print(body)
        return DONE
    if monitored.dataset is not None:
        raise CommandError(
            f"ModelMonitor '{monitored.name}' reads labels from Dataset '{monitored.dataset}', not those that are posted; "
            "add the file's rows to its source, and set spec.groundTruth.probability to the column 'probability'"
        )
    service = workspace.session.require(INFERENCE_SERVICE, monitored.service)
    try:
        post_labels(workspace.session.predictor(service, is_named=True), labels)
    except FlywheelError as error:
        if not lacks_route(error):
            raise
        url = f"http://{service_host(service, workspace.namespace)}:8080{feedback_path(monitored.service)}"
        raise CommandError(
            f"{error.message}. From a place that reaches it, post each line of 'flywheel label {monitored.name} --submit {arguments.submit} --print' to {url}"
        ) from None
    print(
        escape_controls(
            f"{len(labels):,} labels are posted; the next run of ModelMonitor '{monitored.name}' joins them."
        )
    )
    if without:
        print(
            f"note: {without:,} rows have no label; the answer is right if the first rows of the file are the labelled ones.",
            file=sys.stderr,
        )
    return DONE


def _parse_rows(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise ArgumentTypeError(f"'{text}' must be a whole number from 1 to 1,000,000")
    return int(text)


def _parse_width(text: str) -> float:
    try:
        width = float(text)
    except ValueError:
        width = 0.0
    if not 0 < width < float("inf"):
        raise ArgumentTypeError(f"'{text}' must be a number above 0, such as 0.01")
    return width

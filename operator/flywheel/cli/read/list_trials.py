"""`flywheel trials`: the recorded trials of a namespace, searched and ordered by the reader."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flywheel.cli.connection import add_reader_options, open_workspace
from flywheel.cli.errors import DONE
from flywheel.cli.output import (
    Column,
    Row,
    add_output_option,
    add_watch_option,
    check_watch_output,
    make_table,
    print_objects,
    watch,
)
from flywheel.client.errors import FlywheelError
from flywheel.client.trial_list import flatten, list_trials, order_columns, short_reference
from flywheel.client.workspace import Workspace

if TYPE_CHECKING:
    from rich.table import Table

DESCRIPTION = "List recorded trials: parameters, metrics, data and code, also of Experiments that were deleted."
EXAMPLES = """\
examples:
  flywheel trials --experiment flight-delay --order-by 'metrics.roc_auc DESC'
  flywheel trials --filter "metrics.roc_auc > 0.7 and params.estimator = 'Ridge'" --limit 10
  flywheel trials --columns metrics.roc_auc,params.learning_rate,tags.team
  flywheel trials --experiment flight-delay --watch
  flywheel trials --limit 0 -o json

A filter is MLflow's filter string over metrics., params., tags., attributes. and dataset. Trials without the metric or parameter
of the order, or with NaN, come last in both directions.
"""
DEFAULT_LIMIT = 50
NO_TRIALS = "no trial matches; see 'flywheel trials --help' for the names in a filter"
STATE_STYLES = {"Succeeded": "good", "Failed": "bad", "Pruned": "faint"}


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel trials`."""
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--experiment", metavar="NAME", help="those of one Experiment")
    scope.add_argument("--pipeline", metavar="NAME", help="those of one TrainingPipeline")
    parser.add_argument("--filter", metavar="FILTER", help='those that match, such as "metrics.roc_auc > 0.7"')
    parser.add_argument(
        "--order-by", metavar="KEYS", default="attributes.start_time DESC", help="default: the newest first"
    )
    parser.add_argument(
        "--columns", metavar="NAMES", type=parse_columns, help="shown columns, such as metrics.roc_auc,params.alpha"
    )
    parser.add_argument(
        "--limit",
        type=parse_limit,
        default=DEFAULT_LIMIT,
        metavar="N",
        help=f"at most N; 0 is all (default: {DEFAULT_LIMIT})",
    )
    add_output_option(parser)
    add_watch_option(parser)
    add_reader_options(parser)


def run(arguments: Namespace) -> int:
    """Prints the trials. Where the store is away, prints what the reader still knows before the error."""
    check_watch_output(arguments)
    workspace = open_workspace(arguments)
    if arguments.watch:
        watch(lambda: _make_watched_table(list(find_trials(workspace, arguments)), arguments))
    records: list[Mapping[str, Any]] = []
    try:
        records += find_trials(workspace, arguments)
    except FlywheelError as error:
        known = error.details.get("items")
        if records or known:
            print_trials([*records, *(known or [])], arguments)
            sys.stdout.flush()
        raise
    print_trials(records, arguments)
    return DONE


def find_trials(workspace: Workspace, arguments: Namespace) -> Iterator[Mapping[str, Any]]:
    """Yields the records that the options select."""
    return list_trials(
        workspace.session.reader,
        workspace.namespace,
        filter=arguments.filter,
        order_by=arguments.order_by,
        experiment=arguments.experiment,
        pipeline=arguments.pipeline,
        limit=arguments.limit or None,
    )


def print_trials(records: Sequence[Mapping[str, Any]], arguments: Namespace) -> None:
    """Prints records as the output option says."""
    rows = _trial_rows(records)
    print_objects(
        rows,
        trial_columns(records, rows, arguments.columns),
        output=arguments.output,
        empty=NO_TRIALS,
        document={"items": list(records)},
        name=lambda row: str(row["reference"]),
    )


def _make_watched_table(records: Sequence[Mapping[str, Any]], arguments: Namespace) -> "Table | str":
    rows = _trial_rows(records)
    columns = trial_columns(records, rows, arguments.columns)
    return make_table(rows, columns, wide=arguments.output == "wide") if rows else NO_TRIALS


def _trial_rows(records: Sequence[Mapping[str, Any]]) -> list[Row]:
    return [{**flatten(record), "reference": short_reference(record), "record": record} for record in records]


def trial_columns(
    records: Sequence[Mapping[str, Any]], rows: Sequence[Row], chosen: Sequence[str] | None
) -> list[Column]:
    """Returns the columns of the table: the chosen ones, or by default the objective's metric, others, data, code and times."""
    reference = Column("TRIAL", "reference")
    if chosen is not None:
        return [reference, *(Column(name.upper() if "." not in name else name, name) for name in chosen)]
    every = order_columns(
        [{key: value for key, value in row.items() if key not in ("reference", "record")} for row in rows]
    )
    metrics = [name for name in every if name.startswith("metrics.")]
    objectives = [f"metrics.{(record.get('objective') or {}).get('metric')}" for record in records]
    first = [name for name in dict.fromkeys(objectives) if name in metrics]
    shown = [*first, *(name for name in metrics if name not in first)]
    parameters = [name for name in every if name.startswith("params.")]
    in_both = {_short(name) for name in shown} & {_short(name) for name in parameters}
    titles = {name: name if _short(name) in in_both else _short(name) for name in (*shown, *parameters)}
    return [
        reference,
        Column("STATE", "state", style=lambda row: STATE_STYLES.get(str(row["state"]), "")),
        Column("ESTIMATOR", "estimator"),
        *(
            Column(titles[name], name, right=True, wide=index >= max(len(first), 1))
            for index, name in enumerate(shown[:40])
        ),
        *(Column(titles[name], name, wide=True) for name in parameters[:40]),
        Column("DATA", "dataset_version"),
        Column("CODE", lambda row: str(row["revision"])[:12] if row["revision"] else None),
        Column("ENDED", lambda row: row["end_time"].strftime("%Y-%m-%d %H:%M") if row["end_time"] else None),
        Column("ID", "id", wide=True),
        Column("REASON", "reason", wide=True),
    ]


def _short(name: str) -> str:
    return name.partition(".")[2]


def parse_columns(text: str) -> list[str]:
    """Parses `--columns`."""
    found = [each.strip() for each in text.split(",")]
    if not all(found):
        raise ArgumentTypeError(
            f"'{text}' must be names with commas between them, such as metrics.roc_auc,params.alpha"
        )
    return found


def parse_limit(text: str) -> int:
    """Parses `--limit`."""
    if not text.isdigit():
        raise ArgumentTypeError(f"'{text}' must be a whole number; 0 is all")
    return int(text)

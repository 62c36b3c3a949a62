"""`flywheel predictions`: the rows that a service has logged."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flywheel.cli.connection import add_reader_options, open_workspace
from flywheel.cli.errors import DONE, CommandError
from flywheel.cli.output import Column, print_csv, print_objects
from flywheel.cli.read.list_trials import parse_limit
from flywheel.cli.read.moments import parse_moment
from flywheel.client.objects.live_service import DEFAULT_ROWS, LiveService, flatten_row
from flywheel.core.resource.api import Reference

DESCRIPTION = "Print the predictions that an InferenceService has logged (spec.logging), oldest first."
EXAMPLES = """\
examples:
  flywheel predictions flight-delay                              the last 24 hours
  flywheel predictions flight-delay --since 2h -o csv > predictions.csv
  flywheel predictions flight-delay --since 2026-11-28T00:00:00Z --until 2026-11-29T00:00:00Z --limit 0 -o json

Rows are found by whole hours, and are stored within a minute. It needs the verb read-data (ClusterRole flywheel-data-reader).
"""
FORMATS = ("table", "wide", "csv", "json", "yaml")
NARROW = ("time", "version")  # columns of the table beside features and outputs


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel predictions`."""
    parser.add_argument("service", metavar="SERVICE", help="the InferenceService")
    parser.add_argument(
        "--since",
        type=parse_moment,
        metavar="TIME",
        help="from then on: 30m, 6h, 2d ago, or 2026-11-28T12:00:00Z (24h)",
    )
    parser.add_argument("--until", type=parse_moment, metavar="TIME", help="up to then (default: now)")
    parser.add_argument(
        "--limit",
        type=parse_limit,
        default=DEFAULT_ROWS,
        metavar="N",
        help=f"at most N; 0 is all (default: {DEFAULT_ROWS})",
    )
    parser.add_argument(
        "-o", "--output", choices=FORMATS, default=FORMATS[0], help=f"how to print (default: {FORMATS[0]})"
    )
    add_reader_options(parser)


def run(arguments: Namespace) -> int:
    """Prints the rows."""
    service = open_workspace(arguments).service(arguments.service)
    items = list(service.logged_rows(arguments.since, arguments.until, arguments.limit or None))
    if not items:
        check_logging(service)
    rows = [flatten_row(each) for each in items]
    names = list(dict.fromkeys(name for row in rows for name in row))
    if arguments.output == "csv":
        print_csv(rows, names)
        return DONE
    print_objects(
        rows,
        [Column(name, _cell(name), wide="." not in name and name not in NARROW) for name in names],
        output=arguments.output,
        empty=f"{service} has logged nothing in this period; --since chooses another, and spec.logging.sample the share of requests",
        document={"items": items},
    )
    return DONE


def check_logging(service: LiveService) -> None:
    """Checks that a service without logged rows exists and logs.

    Raises:
        CommandError: it does not.
    """
    manifest = service.session.get(service.api, service.name)
    if manifest is None:
        raise CommandError(Reference(service.api, service.session.namespace, service.name).describe_absence())
    if not manifest["spec"].get("logging"):
        raise CommandError(f"{service} logs no predictions; spec.logging turns it on")


def _cell(name: str) -> Callable[[Mapping[str, Any]], object]:
    def cell(row: Mapping[str, Any]) -> object:
        value = row.get(name)
        if isinstance(value, datetime):
            return value.strftime("%Y-%m-%d %H:%M:%S")
        return json.dumps(value) if isinstance(value, list) else value

    return cell

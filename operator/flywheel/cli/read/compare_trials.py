"""`flywheel compare`: trials side by side, what differs first."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from flywheel.cli.connection import add_reader_options, open_workspace
from flywheel.cli.errors import DONE, WRONG_USAGE, CommandError
from flywheel.cli.output import Column, add_output_option, print_objects
from flywheel.client.trial_list import flatten, short_reference

DESCRIPTION = "Compare recorded trials: parameters, metrics, data and code side by side, what differs first."
EXAMPLES = """\
examples:
  flywheel compare flight-delay/7 flight-delay/9
  flywheel compare flight-delay/7 flight-delay/9 flight-delay/11 --differences
  flywheel compare flight-delay/7 0c7a5f0e-6f6d-4c8f-9d8e-3a1b5c7d9e0f.trial-3 -o json

A trial is EXPERIMENT/NUMBER, RUN/STEP, or its id, which 'flywheel trials -o wide' shows.
"""
MAX_TRIALS = 20
# The order of the groups; a field of none of them is not compared, such as its times.
GROUPS = {
    "parameter": ("params.", "estimator", "seed"),
    "metric": ("metrics.",),
    "data": ("dataset",),
    "code": ("revision", "repository", "image"),
    "tag": ("tags.",),
    "end": ("state", "reason"),
}


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel compare`."""
    parser.add_argument("trials", nargs="+", metavar="TRIAL", help="EXPERIMENT/NUMBER, or an id; at least two")
    parser.add_argument("--differences", action="store_true", help="leave out what is the same")
    add_output_option(parser, ("table", "json", "yaml"))
    add_reader_options(parser)


def run(arguments: Namespace) -> int:
    """Prints the comparison."""
    if not 2 <= len(arguments.trials) <= MAX_TRIALS:
        raise CommandError(f"give 2 to {MAX_TRIALS} trials to compare, and not {len(arguments.trials)}", WRONG_USAGE)
    workspace = open_workspace(arguments)
    records = [workspace.trial(each).record for each in arguments.trials]
    rows = compare_records(records)
    if arguments.differences:
        rows = [row for row in rows if row["differs"]]
    titles = [short_reference(record) for record in records]
    columns = [
        Column(
            "", lambda row: "differs" if row["differs"] else "same", style=lambda row: "" if row["differs"] else "faint"
        ),
        Column("GROUP", "group"),
        Column("FIELD", "field"),
        *(Column(title, _value_at(index)) for index, title in enumerate(titles)),
    ]
    document = {"trials": [str(record.get("id")) for record in records], "fields": rows}
    print_objects(rows, columns, output=arguments.output, empty="the trials do not differ", document=document)
    return DONE


def compare_records(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns one row for each field that a record has: `group`, `field`, `values` by record, `differs`. Those that differ come first."""
    flat = [flatten(record) for record in records]
    rows = []
    for group, prefixes in GROUPS.items():
        fields = sorted({name for row in flat for name in row if name.startswith(prefixes)})
        for field in fields:
            values = [row.get(field) for row in flat]
            if any(value is not None for value in values):
                differs = any(not _is_same(value, values[0]) for value in values)
                rows.append(
                    {"group": group, "field": field.partition(".")[2] or field, "values": values, "differs": differs}
                )
    return sorted(rows, key=lambda row: not row["differs"])


def _is_same(first: Any, second: Any) -> bool:
    # NaN equals nothing, and two trials whose metric is NaN do not differ in it.
    return bool(first == second) or (first != first and second != second)


def _value_at(index: int) -> Any:
    return lambda row: row["values"][index]

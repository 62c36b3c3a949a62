"""`flywheel status`: a namespace as one tree, from data to services, with what waits for what."""

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flywheel.cli.connection import NAMESPACES, Connection, connect
from flywheel.cli.errors import DONE
from flywheel.cli.output import (
    STYLES,
    add_output_option,
    add_watch_option,
    check_watch_output,
    console,
    print_document,
    show,
)
from flywheel.cli.overview.namespace_tree import Line, build_lines, read_objects
from flywheel.client.controls import escape_controls
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Reference

if TYPE_CHECKING:
    from rich.table import Table

DESCRIPTION = "Show a namespace as one tree, from data to services: what is ready, and what waits for what."
EXAMPLES = """\
examples:
  flywheel status -n shop
  flywheel status -n shop --watch
  flywheel status -n shop -o wide                 whole messages
  flywheel status -o json | jq '.items[] | select(.state == "bad")'

'flywheel explain KIND/NAME' follows one object to the cause.
"""
SYMBOLS = {"good": "●", "waiting": "◐", "bad": "✗", "missing": "✗", "": " "}
NARROW_COLUMNS = 110  # a terminal narrower than that
COLOURS = {**STYLES, "missing": STYLES["bad"], "": STYLES["faint"]}


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel status`."""
    add_output_option(parser)
    add_watch_option(parser)


def run(arguments: Namespace) -> int:
    """Prints the tree."""
    check_watch_output(arguments)
    connection = connect(arguments)
    if arguments.output in ("json", "yaml", "name"):
        lines = [line for line in build_lines(read_objects(connection)) if line.state]
        if arguments.output == "name":
            print("\n".join(escape_controls(line.key.short) for line in lines))
        else:
            print_document(
                {"namespace": connection.namespace, "items": [line.to_json() for line in lines]}, arguments.output
            )
        return DONE
    show(lambda: render(connection, wide=arguments.output == "wide"), arguments)
    return DONE


def render(connection: Connection, *, wide: bool) -> "Table | str":
    """Returns the tree of a namespace as it is now."""
    lines = build_lines(read_objects(connection))
    if not lines and is_missing(connection):
        return f"There is no namespace '{connection.namespace}'; 'kubectl get namespaces' lists what there is, and -n chooses one."
    if not lines:
        return f"Namespace '{connection.namespace}' has no object of Flywheel; 'flywheel init FILE.csv' writes manifests to begin with."
    return make_tree(lines, datetime.now(UTC), wide=wide)


def is_missing(connection: Connection) -> bool:
    """Returns whether the namespace does not exist, as far as the user may see."""
    try:
        return connection.client.get(Reference(NAMESPACES, "", connection.namespace)) is None
    except ApiError:
        return False


def make_tree(lines: list[Line], now: datetime, *, wide: bool = False) -> "Table":
    """Returns the tree as a table of name, state, age and summary; a narrow terminal has no room for age and reason."""
    from rich.table import Table
    from rich.text import Text

    terminal = console()
    narrow = terminal.is_terminal and terminal.width < NARROW_COLUMNS
    # On a terminal the summary has the width that the other columns leave.
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=STYLES["header"], expand=terminal.is_terminal
    )
    table.add_column("NAME", no_wrap=True)
    table.add_column("" if narrow else "STATE", no_wrap=True)
    if not narrow:
        table.add_column("AGE", no_wrap=True, justify="right")
    table.add_column("SUMMARY", no_wrap=not wide, overflow="fold" if wide else "ellipsis", ratio=1)
    for line in lines:
        name = Text(f"{line.branch}{line.key.kind} ", style=STYLES["faint"])
        name.append(escape_controls(line.key.name), style="default" if line.state else STYLES["faint"])
        reason = escape_controls(line.reason)
        state = Text(SYMBOLS[line.state] if narrow else f"{SYMBOLS[line.state]} {reason}".rstrip(), COLOURS[line.state])
        prefix = f"{reason}: " if narrow and line.state in ("bad", "waiting", "missing") else ""
        summary = Text(f"{prefix}{escape_controls(_summary(line, wide=wide))}")
        table.add_row(name, state, *(() if narrow else (format_age(line.created, now),)), summary)
    return table


def _summary(line: Line, *, wide: bool) -> str:
    text = line.summary
    if line.waits_for and line.state == "waiting":
        waits = ", ".join(each.short for each in line.waits_for)
        text = f"waits for {waits}" if not wide else f"waits for {waits}: {text}"
    return text


def format_age(created: str, now: datetime) -> str:
    """Returns the age as kubectl writes it: `45s`, `12m`, `5h`, `3d`."""
    if not created:
        return ""
    seconds = max(0, int((now - datetime.fromisoformat(created)).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"

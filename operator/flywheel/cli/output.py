"""What commands print: tables and trees for people, JSON and YAML for programs.

On a terminal, tables are as wide as the terminal and coloured (NO_COLOR, COLUMNS and FORCE_COLOR are respected). In a pipe, every cell is
complete, without colours. Names and messages come from other people, so no control character of theirs reaches the terminal.
"""

import csv
import io
import json
import math
import re
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flywheel.cli.errors import MAX_FAILED_POLLS, WRONG_USAGE, CommandError
from flywheel.cli.yaml_text import dump_yaml
from flywheel.client.controls import UNSAFE, escape_controls
from flywheel.client.errors import FlywheelError
from flywheel.cluster.errors import ApiError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

Row = Mapping[str, Any]
FORMATS = ("table", "wide", "json", "yaml", "name")
UNLIMITED_WIDTH = 100_000  # characters; of a table in a pipe
WATCH_SECONDS = 2.0
ABSENT = "-"
STYLES = {"good": "green", "bad": "bold red", "waiting": "yellow", "faint": "bright_black", "header": "bold"}


@dataclass(frozen=True)
class Column:
    """One column of a table. `value` is a key of the row, or a function of it; `style` returns one of STYLES, or nothing."""

    title: str
    value: str | Callable[[Row], object]
    wide: bool = False  # shown with `-o wide` alone
    right: bool = False  # numbers
    style: Callable[[Row], str] = lambda _row: ""
    wrap: bool = False  # sentences; other cells are cut where the terminal is too narrow

    def text(self, row: Row) -> str:
        """Returns the cell, safe to print."""
        found = row.get(self.value) if isinstance(self.value, str) else self.value(row)
        return format_cell(found)


def add_output_option(parser: ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """Adds `--output`."""
    parser.add_argument(
        "-o", "--output", choices=formats, default=formats[0], help=f"how to print (default: {formats[0]})"
    )


def add_watch_option(parser: ArgumentParser) -> None:
    """Adds `--watch`."""
    parser.add_argument(
        "-w", "--watch", action="store_true", help="print again whenever something changed, until Ctrl-C"
    )


def check_watch_output(arguments: Namespace) -> None:
    """Checks that `--watch` has an output that can be shown again.

    Raises:
        CommandError: it is for programs.
    """
    if arguments.watch and arguments.output not in ("table", "wide"):
        raise CommandError(f"--watch shows a table; leave it out with -o {arguments.output}", WRONG_USAGE)


def print_objects(
    rows: Sequence[Row],
    columns: Sequence[Column],
    *,
    output: str = "table",
    empty: str = "",
    document: Any = None,
    name: Callable[[Row], str] = lambda row: str(row["name"]),
) -> None:
    """Prints rows in one of FORMATS.

    `document`: what JSON and YAML print (default: `{"items": rows}`). `empty`: the sentence in place of a table without rows.
    """
    if output in ("json", "yaml"):
        print_document({"items": list(rows)} if document is None else document, output)
    elif output == "name":
        for row in rows:
            print(escape_controls(name(row)))
    elif rows or not empty:
        print_rich(make_table(rows, columns, wide=output == "wide"))
    else:
        print(empty)


def print_csv(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Prints rows as CSV with a header; a value that a row does not have is an empty cell."""
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def print_document(document: Any, output: str) -> None:
    """Prints a document as `json` or `yaml`. Numbers that JSON does not have are the texts NaN, Infinity and -Infinity."""
    value = _finite(document)
    if output == "json":
        text = json.dumps(value, indent=2, ensure_ascii=False)
        print(UNSAFE.sub(_json_escape, text))
    else:
        text = dump_yaml(value)
        # A dump without unsafe characters is easier to read in its own script; one with them is pure ASCII.
        print(text if _is_safe(text) else dump_yaml(value, ascii_only=True), end="")


def make_table(rows: Sequence[Row], columns: Sequence[Column], *, wide: bool = False) -> "Table":
    """Returns a table without lines, as kubectl prints."""
    from rich.table import Table
    from rich.text import Text

    shown = [column for column in columns if wide or not column.wide]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style=STYLES["header"])
    for column in shown:
        table.add_column(
            Text(escape_controls(column.title)),  # not markup: a title may be the name of somebody's metric
            justify="right" if column.right else "left",
            no_wrap=not column.wrap,
            overflow="fold" if column.wrap else "ellipsis",
        )
    for row in rows:
        table.add_row(*(Text(column.text(row), style=STYLES.get(column.style(row), "")) for column in shown))
    return table


def print_rich(renderable: "RenderableType") -> None:
    """Prints a table, a tree or a text of rich; in a pipe every line is complete."""
    terminal = console()
    if terminal.is_terminal:
        terminal.print(renderable)
    else:
        print(render_text(renderable), end="")


def render_text(renderable: "RenderableType") -> str:
    """Returns the lines without colours, as wide as they need to be."""
    from rich.console import Console

    stream = io.StringIO()
    whole = Console(
        file=stream,
        width=UNLIMITED_WIDTH,
        color_system=None,
        force_terminal=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    whole.print(renderable)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def console(*, stderr: bool = False) -> "Console":
    """Returns the console of standard output, or of standard error."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def watch(render: Callable[[], "RenderableType"], seconds: float = WATCH_SECONDS) -> None:
    """Shows what `render` returns until Ctrl-C: on a terminal in place, in a pipe once for each change.

    Raises:
        ApiError, FlywheelError: the first request failed, or MAX_FAILED_POLLS in a row; until then what was shown last stays.
    """
    terminal, render = console(), _tolerate_errors(render)
    if terminal.is_terminal:
        from rich.live import Live

        with Live(render(), console=terminal, auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                time.sleep(seconds)
                live.update(render(), refresh=True)
    printed = ""
    while True:
        text = render_text(render())
        if text != printed:
            print(text if not printed else f"\n{text}", end="", flush=True)
            printed = text
        time.sleep(seconds)


def _tolerate_errors(render: Callable[[], "RenderableType"]) -> Callable[[], "RenderableType"]:
    """Returns the same function, with its last result where requests fail, as they do while an API server restarts."""
    last: list[RenderableType] = []
    failures = 0

    def tolerant() -> "RenderableType":
        nonlocal failures
        try:
            last[:] = [render()]
            failures = 0
        except (ApiError, FlywheelError) as error:
            failures += 1
            refused = error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
            if not last or failures >= MAX_FAILED_POLLS or refused:
                raise
        return last[0]

    return tolerant


def show(render: Callable[[], "RenderableType"], arguments: Namespace) -> None:
    """Prints what `render` returns, once or with `--watch`."""
    if arguments.watch:
        watch(render)
    print_rich(render())


def format_cell(value: object) -> str:
    """Returns a value as the text of a cell: `-` for nothing, short numbers, and no control characters."""
    match value:
        case None | "" | [] | () | {}:
            return ABSENT
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}" if math.isfinite(value) else str(_finite(value))
        case list() | tuple():
            return ",".join(format_cell(each) for each in value)
        case _:
            return escape_controls(str(value))


def configure_streams() -> None:
    """Makes characters that the terminal's encoding does not have escapes instead of errors."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_safe(text: str) -> bool:
    return UNSAFE.search(text.replace("\n", "")) is None


def _json_escape(found: re.Match[str]) -> str:
    # Between values of JSON there are line ends; within its texts they are escaped already.
    return found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1]


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value

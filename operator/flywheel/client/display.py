"""Tables that Jupyter and marimo show, and that become DataFrames."""

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from flywheel.client.errors import FlywheelError, MissingExtra

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
MAX_SHOWN_ROWS = 50
MAX_SHOWN_COLUMNS = 40
MAX_CELL_CHARACTERS = 200


class DisplayTable(Sequence[Row]):
    """Rows with named columns. `to_pandas()` returns them as a DataFrame; a notebook shows the first rows and columns, escaped."""

    def __init__(self, rows: Sequence[Row], columns: Sequence[str] | None = None, caption: str = "") -> None:
        self._rows = list(rows)
        self.columns = list(columns) if columns is not None else list(dict.fromkeys(key for row in rows for key in row))
        self.caption = caption

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self._rows[index]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def to_pandas(self) -> "pd.DataFrame":
        """Returns a DataFrame with one row for each row, and `columns`; a value that a row does not have is missing."""
        pandas = import_pandas("a DataFrame")
        return pandas.DataFrame({name: [row.get(name) for row in self._rows] for name in self.columns})

    def __repr__(self) -> str:
        return f"<{self.caption or 'table'}: {len(self)} rows, {len(self.columns)} columns; .to_pandas() returns a DataFrame>"

    def _repr_html_(self) -> str:
        return render_html(self._rows, self.columns, self.caption)

    def _mime_(self) -> tuple[str, str]:
        """Returns the type and the text that marimo shows."""
        return "text/html", self._repr_html_()


class DisplayFields:
    """A mixin for an object that a notebook shows as a table of two columns."""

    def _display_fields(self) -> Mapping[str, Any]:
        """Returns what is shown, by its names."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        try:
            fields = self._display_fields()
        except FlywheelError as error:
            fields = {"error": error.message}
        rows = [{"field": name, "value": value} for name, value in fields.items()]
        return render_html(rows, ["field", "value"], repr(self))

    def _mime_(self) -> tuple[str, str]:
        """Returns the type and the text that marimo shows."""
        return "text/html", self._repr_html_()


def render_html(rows: Sequence[Row], columns: Sequence[str], caption: str) -> str:
    """Returns an HTML table of the first rows and columns. Every text is escaped, since names come from other people."""
    shown = columns[:MAX_SHOWN_COLUMNS]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in shown)
    lines = (
        "<tr>" + "".join(f"<td>{html.escape(format_value(row.get(name)))}</td>" for name in shown) + "</tr>"
        for row in rows[:MAX_SHOWN_ROWS]
    )
    size = f"{len(rows):,} rows" + (f", {MAX_SHOWN_ROWS} shown" if len(rows) > MAX_SHOWN_ROWS else "")
    if len(columns) > MAX_SHOWN_COLUMNS:
        size += f"; {len(columns):,} columns, {MAX_SHOWN_COLUMNS} shown"
    title = html.escape(f"{caption} ({size})" if caption else size)
    return f"<table><caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def format_value(value: object) -> str:
    """Returns a value as the short text of a cell: empty for nothing."""
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) and math.isfinite(value) else str(value)
    return text if len(text) <= MAX_CELL_CHARACTERS else f"{text[: MAX_CELL_CHARACTERS - 1]}…"


def import_pandas(purpose: str) -> Any:
    """Returns pandas.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise MissingExtra("pandas", purpose) from None
    return pandas

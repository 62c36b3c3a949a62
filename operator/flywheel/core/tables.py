"""Fields of specs about the files of a table, and what they become in a step's configuration."""

from typing import Annotated, Any

from pydantic import Field

from flywheel.core.resource.schema import ColumnName, Schema, model_rules, rule

# Those of DuckDB's strptime; another one would fail in the pod.
_DIRECTIVE = "%(-?[djmyHIMS]|[abcfghnpuwxzABGTUVWXYZ%])"
FORMAT_RULE = rule(
    "!has(self.csv) || !has(self.format) || self.format == 'CSV'",
    "csv describes CSV files; remove it, or set format: CSV",
)
IGNORED_COLUMNS = (
    "Columns to leave out, such as one that is a list or binary. Every other field sees the data without them."
)


class Csv(Schema):
    """How CSV files are written, as far as it differs from the usual form."""

    model_config = model_rules(
        rule(
            "!has(self.thousands) || self.thousands != (has(self.decimal) ? self.decimal : '.')",
            "thousands must differ from decimal, which defaults to .",
        ),
        rule(
            "!has(self.quote) || !has(self.delimiter) || self.quote != self.delimiter",
            "quote must differ from delimiter",
        ),
    )

    delimiter: str | None = Field(
        None,
        pattern=r"^[\t !#-/:-@\[-`{-~]$",
        max_length=1,
        description="Character between cells. Defaults to the one of comma, semicolon, tab and | that divides the first rows into equally many cells.",
    )
    decimal: str | None = Field(
        None, pattern=r"^[.,]$", max_length=1, description='Decimal sign of numbers: "." (default) or ",".'
    )
    thousands: str | None = Field(
        None,
        pattern="^[.,' _\u00a0\u202f]$",
        max_length=1,
        description='Sign between groups of three digits, such as "." in 1.234,5. By default there is none.',
    )
    quote: str | None = Field(
        None,
        pattern=r"^[!-/:-@\[-`{-~]?$",
        max_length=1,
        description="Character around cells that hold a delimiter or a line end. Defaults to the double quote; an empty string means that no character quotes.",
    )
    header: bool | None = Field(
        None,
        description="Whether the first row names the columns. Defaults to true. With false, the columns are column0, column1, …",
    )
    missing: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(
        (),
        max_length=32,
        description='Cells that mean a missing value in every column, such as "?" or "-". An empty cell always does, and in columns that are not text NA, NaN, null, None and N/A.',
    )
    date_format: str | None = Field(
        None,
        pattern=f"^([^%]|{_DIRECTIVE})*{_DIRECTIVE}([^%]|{_DIRECTIVE})*$",
        max_length=64,
        description='Form of dates and times, in the directives of strptime, such as "%d.%m.%Y". Dates as 2013-01-31 are always understood.',
    )


Ignore = Annotated[tuple[ColumnName, ...], Field(max_length=500, description=IGNORED_COLUMNS)]


def table_config(csv: Csv | None, ignore: tuple[str, ...]) -> dict[str, Any]:
    """The fields `csv` and `ignore` of a step's configuration, as far as they are set."""
    found: dict[str, Any] = {}
    if csv is not None:
        found["csv"] = csv.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if ignore:
        found["ignore"] = list(ignore)
    return found

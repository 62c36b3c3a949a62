"""Reads the bodies that hold rows: JSON of several forms, and CSV.

Source of the forms: MLflow, "Deploy MLflow Model as a Local Inference Server": dataframe_split, dataframe_records,
instances, inputs.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from flywheel_serving.errors import InvalidRequest, RequestTooLarge

RECORD_FORMS = ("rows", "dataframe_records", "instances")
FORMS = (*RECORD_FORMS, "dataframe_split", "inputs")
OTHER_FIELDS = ("id", "parameters", "params")  # MLflow's clients send empty `params`
MAX_NAMED = 10
MAX_CELL_CHARACTERS = 2**31 - 1  # a cell may be as long as the body, as in JSON; Python's own limit is 131,072

csv.field_size_limit(MAX_CELL_CHARACTERS)


@dataclass(slots=True)
class RowBody:
    """The rows of one request: `records` (a list of objects, lists or single values), or cells by column name.

    `is_text`: the cells are text, as CSV has them.
    """

    records: list[Any] | None = None
    columns: dict[str, list[Any]] = field(default_factory=dict)
    is_text: bool = False
    id: str = ""
    parameters: dict[str, Any] | None = None


def read_json(body: bytes) -> RowBody:
    """The rows of a JSON body. Raises InvalidRequest."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"body: not valid JSON: {error}; send CSV with content-type text/csv") from error
    if type(document) is not dict:
        raise InvalidRequest(f"body: wanted a JSON object with one of {', '.join(FORMS)}")
    if len(document) == 1:  # most requests
        [form] = document
        return _read_form(form, document[form])
    forms = [name for name in document if name in FORMS]
    if len(forms) != 1:
        raise InvalidRequest(f"body: wanted one of {', '.join(FORMS)}, found {quote_names(document)}")
    unknown = [name for name in document if name not in FORMS and name not in OTHER_FIELDS]
    if unknown or document.get("params"):
        raise InvalidRequest(f"body: unknown {quote_names(unknown or ['params'])}; leave it out")
    found = _read_form(forms[0], document[forms[0]])
    found.id = _typed(document, "id", str) or ""
    found.parameters = _typed(document, "parameters", dict)
    return found


def _read_form(form: str, content: Any) -> RowBody:
    if form in RECORD_FORMS:
        if type(content) is list and content:
            return RowBody(content)
        raise InvalidRequest(f"{form}: wanted a list of rows, one at least")
    if form == "inputs":
        return _read_inputs(content)
    if form == "dataframe_split":
        return _read_split(content)
    raise InvalidRequest(f"body: wanted one of {', '.join(FORMS)}, found {form[:100]!r}")


def _read_inputs(content: Any) -> RowBody:
    """Cells by column, or a list of rows."""
    if type(content) is list and content:
        return RowBody(content)
    if type(content) is not dict or not content:
        raise InvalidRequest("inputs: wanted an object with a list of cells for each column, or a list of rows")
    columns = {name: cells if type(cells) is list else [cells] for name, cells in content.items()}
    _check_lengths("inputs", columns)
    return RowBody(columns=columns)


def _read_split(content: Any) -> RowBody:
    """`columns` and `data`, as pandas' `to_dict(orient="split")` writes them; `index` is not used."""
    names, data = (content.get("columns"), content.get("data")) if type(content) is dict else (None, None)
    if type(names) is not list or not all(type(name) is str for name in names):
        raise InvalidRequest("dataframe_split.columns: wanted a list of column names")
    if type(data) is not list or not data:
        raise InvalidRequest("dataframe_split.data: wanted a list of rows, one at least")
    return RowBody(columns=_columns("dataframe_split.data", names, data))


def read_csv(body: bytes, max_rows: int, delimiter: str = ",") -> RowBody:
    """The rows of CSV (RFC 4180, also with another delimiter) with a header; those after `max_rows` are not read. Raises InvalidRequest, RequestTooLarge."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"body: CSV must be UTF-8, found {error.reason} at byte {error.start}") from error
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        rows = list(islice(filter(None, lines), max_rows + 2))  # a header, and one row too many
    except csv.Error as error:
        raise InvalidRequest(f"body: not valid CSV: {error}") from error
    if len(rows) < 2:
        raise InvalidRequest("body: CSV needs a header with the column names and one row at least")
    if len(rows) > max_rows + 1:
        raise RequestTooLarge(f"body: at most {max_rows} rows are accepted in one request; send several requests")
    header = [name.strip() for name in rows[0]]
    return RowBody(columns=_columns("body", header, rows[1:]), is_text=True)


def _columns(where: str, names: list[str], rows: list[Any]) -> dict[str, list[Any]]:
    if len(set(names)) < len(names):
        twice = [name for name, count in Counter(names).items() if count > 1]
        raise InvalidRequest(f"{where}: column {quote_names(twice)} is given twice")
    for index, row in enumerate(rows):
        if type(row) is not list or len(row) != len(names):
            found = f"has {len(row)} cells" if type(row) is list else "is no list"
            raise InvalidRequest(f"{where}: row {index} {found} for {len(names)} columns")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _check_lengths(where: str, columns: dict[str, list[Any]]) -> None:
    first, cells = next(iter(columns.items()))
    for name, others in columns.items():
        if len(others) != len(cells):
            raise InvalidRequest(
                f"{where}: column {name[:100]!r} has {len(others)} cells, but {first[:100]!r} has {len(cells)}"
            )


def _typed(document: dict[str, Any], name: str, kind: type) -> Any:
    value = document.get(name)
    if value is not None and type(value) is not kind:
        raise InvalidRequest(f"{name}: wanted {'text' if kind is str else 'an object'}")
    return value


def quote_names(names: Iterable[str]) -> str:
    """The first names, for a message."""
    shown: Sequence[str] = [repr(name[:100]) for name in names]
    more = f" and {len(shown) - MAX_NAMED} more" if len(shown) > MAX_NAMED else ""
    return ", ".join(shown[:MAX_NAMED]) + more

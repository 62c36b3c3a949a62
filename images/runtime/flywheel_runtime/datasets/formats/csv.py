"""Load CSV: every cell as text. A fault is found again line by line, so that the message can name its place."""

import codecs
import csv
import io
from collections.abc import Iterator
from functools import partial

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import SourceFile, check_same_columns
from flywheel_runtime.datasets.sql import prefix_columns, quote_column, quote_literal, translate_errors

DELIMITERS = ",;\t|"
# DuckDB keeps several buffers of many times this.
MAX_LINE_BYTES = 2 * 2**20
CHUNK_BYTES = 2**20
MAX_FIELD_CHARACTERS = 2**24


def load_csv(connection: duckdb.DuckDBPyConnection, files: list[SourceFile]) -> dict[str, str | None]:
    """Create `raw` from CSV files (also gzip) whose headers name the same columns, in any order."""
    first = files[0]
    _, columns = _header(first)
    declared = ", ".join(f"{quote_column(name)} VARCHAR" for name in columns)
    connection.execute(f"CREATE TABLE raw ({declared})")
    for file in files:
        delimiter, header = _header(file)
        check_same_columns(file, header, first, columns)
        with translate_errors(partial(_find_cause, file, delimiter, len(header)), duckdb.Error):
            connection.execute(f"INSERT INTO raw BY NAME FROM {prefix_columns(_reader(file, delimiter, header))}")
    return dict.fromkeys(columns)


def _reader(file: SourceFile, delimiter: str, header: list[str]) -> str:
    # Nothing is guessed from a sample: the header was read by us and every cell arrives as text.
    columns = ", ".join(f"{quote_literal(name)}: 'VARCHAR'" for name in header)
    return (
        f"read_csv({quote_literal(str(file.path))}, auto_detect = false, header = true, columns = {{{columns}}}, "
        f"delim = {quote_literal(delimiter)}, quote = '\"', escape = '\"', nullstr = '', strict_mode = true, "
        f"max_line_size = {MAX_LINE_BYTES}, compression = '{'gzip' if file.gzipped else 'none'}')"
    )


def _header(file: SourceFile) -> tuple[str, list[str]]:
    with file.open() as stream:
        start = stream.read(CHUNK_BYTES)
    try:
        line = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        _check_encoding(file)
    delimiter, header = parse_header(line)
    if not any(header):
        raise Failure("HeaderInvalid", f"The first line of file '{file.name}' is blank; it must name the columns.")
    if "" in header:
        message = (
            f"Column {header.index('') + 1} of file '{file.name}' has no name; name it or leave it out "
            "(pandas writes such a column unless index=False)."
        )
        raise Failure("HeaderInvalid", message)
    duplicate = next((name for name in header if [other.lower() for other in header].count(name.lower()) > 1), None)
    if duplicate is not None:
        message = (
            f"File '{file.name}' names column '{duplicate}' twice (upper and lower case count as one); rename one."
        )
        raise Failure("HeaderInvalid", message)
    return delimiter, header


def parse_header(text: str) -> tuple[str, list[str]]:
    """The delimiter by which the first row of a CSV text has the most cells, and those cells."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    rows = {each: next(csv.reader(io.StringIO(text, newline=""), delimiter=each), []) for each in DELIMITERS}
    delimiter = max(rows, key=lambda each: len(rows[each]))
    return delimiter, [name.strip() for name in rows[delimiter]]


def _find_cause(file: SourceFile, delimiter: str, width: int, finding: str) -> Failure:
    _check_encoding(file)
    reader = csv.reader(_lines(file), delimiter=delimiter)
    for row in reader:
        if row and len(row) != width:
            message = (
                f"Line {reader.line_num} of file '{file.name}' has {len(row)} cells where the header has {width}; "
                "put text that holds the delimiter in double quotes."
            )
            return Failure("RaggedCSV", message)
    return Failure("UnreadableCSV", f"File '{file.name}' is not valid CSV ({finding}); write it again.")


def _lines(file: SourceFile) -> Iterator[str]:
    with file.open() as stream:
        yield from io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _check_encoding(file: SourceFile) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with file.open() as stream:
        while True:
            chunk = stream.read(CHUNK_BYTES)
            waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                found = offset - waiting + error.start
                message = (
                    f"File '{file.name}' is not UTF-8: byte 0x{error.object[error.start]:02x} at offset {found}; "
                    "convert it, for example with iconv -f latin1 -t utf-8."
                )
                raise Failure("NotUTF8", message) from error
            if not chunk:
                return
            offset += len(chunk)

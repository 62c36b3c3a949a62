"""CSV: every cell is text. DuckDB reads it; what it refuses is found again line by line, so that a message can name its place."""

import codecs
import io
import re
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import duckdb

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.datasets.formats import SourceFile, TableForm, check_same_columns
from flywheel_runtime.datasets.formats.column_names import (
    check_names,
    doubled_folders,
    folder_differs,
    given_folders,
    read_folders,
)
from flywheel_runtime.datasets.formats.dialect import CsvOptions, Dialect, detect_dialect, read_rows
from flywheel_runtime.datasets.formats.signatures import check_text
from flywheel_runtime.datasets.formats.text_records import split_records
from flywheel_runtime.datasets.sql import quote_column, quote_literal, translate_errors

# DuckDB keeps several buffers of many times this.
MAX_LINE_BYTES = 2 * 2**20
CHUNK_BYTES = 2**20
SEPARATOR_HINT = re.compile(r'"?sep=[,;|\t]"?\s*(?=[\r\n])', re.IGNORECASE)
COPY_BYTES = 8 * 2**20


def load_csv(connection: duckdb.DuckDBPyConnection, files: list[SourceFile], form: TableForm) -> dict[str, str | None]:
    """Create `raw` from CSV files (also gzip) that have the same columns, in any order."""
    first, expected = files[0], _columns(files[0], _detect(files[0], form), form)
    connection.execute(f"CREATE TABLE raw ({', '.join(f'{quote_column(name)} VARCHAR' for name in expected)})")
    for file in files:
        dialect = _detect(file, form)
        check_same_columns(file, _columns(file, dialect, form), first, expected)
        with (
            tempfile.TemporaryDirectory() as folder,
            translate_errors(partial(_find_cause, file, dialect), duckdb.Error),
        ):
            connection.execute(f"INSERT INTO raw BY NAME {_select_file(file, dialect, form, Path(folder))}")
    for file in files:
        _check_folders(connection, file, _detect(file, form), form)
    return dict.fromkeys(expected)


def select_csv(
    path: Path, dialect: Dialect, form: TableForm, name: str, *, header: bool, gzipped: bool = False, end: str = "\\n"
) -> str:
    """SQL for the rows of the CSV in `path`, every cell as text; `name` is the path of its file below the source, and `end` is its
    only kind of line end outside of quotes as DuckDB writes it, empty where DuckDB shall find it."""
    # Nothing is guessed from a sample: the header was read by us and every cell arrives as text.
    declared = ", ".join(f"c{at}: 'VARCHAR'" for at in range(len(dialect.columns)))
    quote = quote_literal(dialect.quote)
    new_line = f", new_line = '{end}'" if end else ""
    reader = (
        f"read_csv({quote_literal(str(path))}, auto_detect = false, hive_partitioning = false, header = {str(header).lower()}, columns = {{{declared}}}, "
        f"delim = {quote_literal(dialect.delimiter)}, quote = {quote}, escape = {quote}, nullstr = '', strict_mode = true, "
        f"max_line_size = {MAX_LINE_BYTES}{new_line}, compression = '{'gzip' if gzipped else 'none'}')"
    )
    cells = [
        f"{f'ltrim(c{at}, chr(32))' if dialect.blank_follows else f'c{at}'} AS {quote_column(column)}"
        for at, column in enumerate(dialect.columns)
        if column not in form.ignored
    ]
    return f"SELECT {', '.join([*cells, *select_folders(given_folders(name, dialect.columns, form.ignored))])} FROM {reader}"


def select_folders(folders: Mapping[str, str | None]) -> list[str]:
    """SQL for what the folders of a file give, as text."""
    return [
        f"{'NULL' if value is None else quote_literal(value)}::VARCHAR AS {quote_column(name)}"
        for name, value in folders.items()
    ]


def read_dialect(start: bytes, options: CsvOptions, name: str, *, is_whole: bool) -> Dialect:
    """The dialect of a file from its first bytes. Failure NotUTF8, FormatUnknown or HeaderInvalid."""
    check_text(start, name)
    text = codecs.getincrementaldecoder("utf-8-sig")("replace").decode(start)
    if hint := SEPARATOR_HINT.match(text):
        message = f"The first line of file '{name}' is {hint[0].strip()}, a hint for Excel that names no column; remove the line."
        raise Failure("HeaderInvalid", message)
    dialect = detect_dialect(text, options, is_whole=is_whole)
    if any("\ufffd" in column for column in dialect.columns) and b"\xef\xbf\xbd" not in start:
        message = (
            f"The first line of file '{name}' is not UTF-8; convert it, for example with iconv -f latin1 -t utf-8."
        )
        raise Failure("NotUTF8", message)
    if not any(dialect.columns):
        raise Failure("HeaderInvalid", f"The first line of file '{name}' is blank; it must name the columns.")
    if "" in dialect.columns:
        message = (
            f"Column {dialect.columns.index('') + 1} of file '{name}' has no name; name it or leave it out "
            "(pandas writes such a column unless index=False)."
        )
        raise Failure("HeaderInvalid", message)
    return dialect


def _detect(file: SourceFile, form: TableForm) -> Dialect:
    with file.open() as stream:
        start = stream.read(CHUNK_BYTES)
    check_text(start, file.name)
    try:
        return read_dialect(start, form.csv, file.name, is_whole=len(start) < CHUNK_BYTES)
    except Failure as failure:
        if failure.reason == "NotUTF8":
            _check_encoding(file)  # names the byte
        raise


def _columns(file: SourceFile, dialect: Dialect, form: TableForm) -> list[str]:
    check_names(file.name, dialect.columns, form.ignored)
    form.note_columns((*dialect.columns, *read_folders(file.name)))
    own = [name for name in dialect.columns if name not in form.ignored]
    return own + list(given_folders(file.name, dialect.columns, form.ignored))


def _check_folders(connection: duckdb.DuckDBPyConnection, file: SourceFile, dialect: Dialect, form: TableForm) -> None:
    for name, value in doubled_folders(file.name, dialect.columns).items():
        if name in form.ignored:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows = _select_file(file, dialect, form, Path(folder))
            differs = f"SELECT 1 FROM ({rows}) WHERE {differs_from_folder(name, value)} LIMIT 1"
            if connection.execute(differs).fetchone():
                raise folder_differs(file.name, name, value)


def differs_from_folder(name: str, value: str | None) -> str:
    """SQL that is true where the cell of a column is not what its folder says; numbers are compared as such."""
    text = f"{quote_column(name)}::VARCHAR"
    if value is None:
        return f"{text} IS NOT NULL"
    wanted = quote_literal(value)
    same = f"{text} = {wanted} OR TRY_CAST({text} AS DOUBLE) = TRY_CAST({wanted} AS DOUBLE)"
    return f"({same}) IS DISTINCT FROM true"


def _select_file(file: SourceFile, dialect: Dialect, form: TableForm, folder: Path) -> str:
    """SQL for the rows of a file: of itself, or of a copy in `folder` without mixed line ends, which DuckDB refuses, and without the
    blank lines that it could take for rows."""
    ends, has_blanks = _find_line_ends(file)
    if len(ends) > 1 or (has_blanks and len(dialect.columns) == 1):
        path = folder / "copy.csv"
        with path.open("wb") as copy:
            for records in split_records(_chunks(file), file.name, dialect):
                copy.write(records.canonical())
        return select_csv(path, dialect, form, file.name, header=dialect.header)
    # With CR LF stated, DuckDB takes an LF inside of quotes for the end of a row.
    end = {"\n": "\\n", "\r": "\\r"}.get("".join(ends), "")
    return select_csv(file.path, dialect, form, file.name, header=dialect.header, gzipped=file.gzipped, end=end)


def _find_line_ends(file: SourceFile) -> tuple[set[str], bool]:
    """The kinds of line ends in a file, those inside of quotes too, and whether a line may be blank."""
    found: set[str] = set()
    has_blanks, last = False, b""
    for text in _chunks(file):
        returns = text.count(b"\r")
        pairs = text.count(b"\r\n") if returns else 0
        counts = {"\r\n": pairs, "\r": returns - pairs, "\n": text.count(b"\n") - pairs}
        found |= {kind for kind, count in counts.items() if count}
        has_blanks = has_blanks or any(pair in text or pair in last + text[:1] for pair in (b"\n\n", b"\n\r", b"\r\r"))
        last = text[-1:]
    return found, has_blanks


def _chunks(file: SourceFile) -> Iterator[bytes]:
    """The file's text; no CR LF is divided."""
    with file.open() as stream:
        while chunk := stream.read(COPY_BYTES):
            yield chunk + stream.read(1) if chunk.endswith(b"\r") else chunk


def _find_cause(file: SourceFile, dialect: Dialect, finding: str) -> Failure:
    _check_encoding(file)
    width = len(dialect.columns)
    for line, row in read_rows(_lines(file), dialect):
        if len(row) != width and not (len(row) == width + 1 and not row[-1]):
            message = (
                f"Line {line} of file '{file.name}' has {len(row)} cells where the header has {width}, divided by "
                f"{dialect.delimiter!r}; put text that holds the delimiter in double quotes, or set csv.delimiter."
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

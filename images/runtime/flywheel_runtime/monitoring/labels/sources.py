"""Tables of the logged rows and of the labels, read from their files (images/README.md, "Logged predictions")."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from flywheel_runtime.contract.errors import Undefined
from flywheel_runtime.datasets.sql import describe_columns, is_resource_error, quote_identifier, quote_literal
from flywheel_runtime.monitoring.statistics.horvitz_thompson import MIN_PROBABILITY

MISSING_GROUP = "(missing)"
UNKNOWN_SOURCE = ""  # of labels in files of earlier releases, and of callers whom no service authenticated
DATASET_SOURCE = "(dataset)"  # of labels in a Dataset, which whoever writes the monitor has chosen
IS_PROBABILITY = f"(probability BETWEEN {MIN_PROBABILITY} AND 1)"  # DuckDB holds NaN for greater than every number


UnreadableFile = Callable[[Path, duckdb.Error], None]
"""Is called for each file of the log that cannot be read, and is left out."""


def _raise_error(_: Path, error: duckdb.Error) -> None:
    raise error


@dataclass(frozen=True)
class OutputNames:
    """The outputs of the logged rows that are compared with labels: the class and its probabilities, or the predicted value.

    Of several names, a file has the first that it has.
    """

    label: tuple[str, ...] = ("label",)
    probabilities: tuple[str, ...] = ("probabilities",)
    prediction: tuple[str, ...] = ("prediction",)


@dataclass(frozen=True)
class DatasetLabels:
    """The labels in files of a Dataset: the columns with the row's key, its true target, and the probability with which it was drawn."""

    files: Sequence[Path]
    key: str
    column: str
    probability: str | None = None


def read_logged_rows(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[Path],
    outputs: OutputNames,
    group_columns: Sequence[str] = (),
    unreadable: UnreadableFile = _raise_error,
    digests: Mapping[str, str] | None = None,
    text_columns: Sequence[str] = (),
) -> None:
    """Creates the table `logged`: one row for each logged row, with `predicted` (text), `probabilities`, its groups as text, and `text_columns`.

    Files of several versions or of other servers may have other columns: what a file does not have is null, and `row` then 0. A row that an artifact with another digest than that
    in `digests` answered, under the same name, is of no version.
    """
    names = [*(f"group_{index}" for index in range(len(group_columns))), *text_columns]
    texts = "".join(f", {quote_identifier(name)} VARCHAR" for name in names)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE logged (id VARCHAR, row INTEGER, key VARCHAR, time BIGINT, version VARCHAR, "
        f"predicted VARCHAR, probabilities DOUBLE[]{texts})"
    )
    for types, alike in _by_schema(connection, files, unreadable).items():
        columns = dict(types)
        predicted = _first_field(columns, "outputs", (*outputs.label, *outputs.prediction))
        probabilities = _first_field(columns, "outputs", outputs.probabilities)
        selected = [
            "id" if "id" in columns else "NULL",
            "row" if "row" in columns else "0",
            "key" if "key" in columns else "NULL",
            "epoch_us(time)",
            _version_of_artifact(digests) if "digest" in columns else "version",
            f"{predicted}::VARCHAR",
            f"{probabilities}::DOUBLE[]",
            *(
                f"coalesce({_first_field(columns, 'features', (name,))}::VARCHAR, {quote_literal(MISSING_GROUP)})"
                for name in group_columns
            ),
            *(quote_identifier(name) if name in columns else "NULL" for name in text_columns),
        ]
        _insert(connection, f"INSERT INTO logged SELECT {', '.join(selected)}", alike, unreadable, _source)


def _version_of_artifact(digests: Mapping[str, str] | None) -> str:
    """SQL for the version of a row, null where another artifact of that name answered."""
    others = [
        f"WHEN version = {quote_literal(name)} AND coalesce(digest, '') NOT IN ('', {quote_literal(digest)}) THEN NULL"
        for name, digest in sorted((digests or {}).items())
    ]
    return f"CASE {' '.join(others)} ELSE version END" if others else "version"


def read_posted_labels(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], unreadable: UnreadableFile = _raise_error
) -> None:
    """Creates the table `posted`: one row for each label as it was posted, with the time at which it arrived.

    Files of earlier releases have no `probability` and no `source`: their labels are of rows that were not drawn, and of nobody. A label with a probability that a draw
    does not have is null, so that it counts as invalid: it is in the store already, where it cannot be refused.
    """
    _create_posted(connection)
    if files:
        label = f"CASE WHEN probability IS NULL OR {IS_PROBABILITY} THEN label END"
        probability = f"CASE WHEN {IS_PROBABILITY} THEN probability END"
        selected = f"INSERT INTO posted SELECT id, row, key, {label}, epoch_us(time), {probability}, coalesce(source, '{UNKNOWN_SOURCE}')"
        _insert(connection, selected, files, unreadable, _label_source)


def read_dataset_labels(connection: duckdb.DuckDBPyConnection, labels: DatasetLabels) -> None:
    """Creates the table `posted` of a Dataset's rows. They have no time of arrival: none of them is too late.

    Raises:
        Undefined: the Dataset does not have the columns, or a probability is none.
    """
    _create_posted(connection)
    for file in labels.files:
        known = {name.casefold() for name in describe_columns(connection, _source([file]))}
        for field, name in (("key", labels.key), ("column", labels.column), ("probability", labels.probability)):
            if name is not None and name.casefold() not in known:
                raise Undefined(
                    f"The Dataset of spec.groundTruth has no column '{name}'; correct spec.groundTruth.{field}."
                )
    key, column = quote_identifier(labels.key), quote_identifier(labels.column)
    given = "NULL" if labels.probability is None else quote_identifier(labels.probability)
    probability = f"CASE WHEN {given} IS NOT NULL THEN coalesce(TRY_CAST({given} AS DOUBLE), 'nan') END"
    if labels.files:
        connection.execute(
            f"INSERT INTO posted SELECT NULL, 0, {key}::VARCHAR, {column}::VARCHAR, NULL, {probability}, '{DATASET_SOURCE}' "
            f"FROM {_source(labels.files)} WHERE {key} IS NOT NULL AND {column} IS NOT NULL"
        )
        _check_probabilities(connection, labels.probability)


def _check_probabilities(connection: duckdb.DuckDBPyConnection, column: str | None) -> None:
    """A label with a probability that is none would count as one of a fair sample, so that the estimate were biased."""
    ((wrong,),) = connection.execute(
        f"SELECT count(*) FROM posted WHERE probability IS NOT NULL AND NOT {IS_PROBABILITY}"
    ).fetchall()
    if wrong:
        raise Undefined(
            f"Column '{column}' of the Dataset of spec.groundTruth has {wrong:,} values that are no probability "
            "from 0.000001 to 1; correct them."
        )


def _create_posted(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE posted (id VARCHAR, row INTEGER, key VARCHAR, label VARCHAR, time BIGINT, probability DOUBLE, source VARCHAR)"
    )


def _by_schema(
    connection: duckdb.DuckDBPyConnection, files: Iterable[Path], unreadable: UnreadableFile
) -> dict[tuple[tuple[str, str], ...], list[Path]]:
    """The files by their columns and types."""
    found: dict[tuple[tuple[str, str], ...], list[Path]] = {}
    for file in sorted(files):
        try:
            found.setdefault(tuple(describe_columns(connection, _source([file])).items()), []).append(file)
        except duckdb.Error as error:
            _leave_out(file, error, unreadable)
    return found


def _insert(
    connection: duckdb.DuckDBPyConnection,
    statement: str,
    files: Sequence[Path],
    unreadable: UnreadableFile,
    source: Callable[[Sequence[Path]], str],
) -> None:
    """Inserts the rows of all files at once; where that fails, one file after the other, without those that cannot be read."""
    try:
        connection.execute(f"{statement} FROM {source(files)}")
    except duckdb.Error as error:
        if len(files) == 1:
            _leave_out(files[0], error, unreadable)
            return
        for file in files:
            _insert(connection, statement, [file], unreadable, source)


def _leave_out(file: Path, error: duckdb.Error, unreadable: UnreadableFile) -> None:
    """A full disk or memory is no fault of the file."""
    if is_resource_error(error):
        raise error
    unreadable(file, error)


def _first_field(columns: dict[str, str], struct: str, names: Sequence[str]) -> str:
    """SQL for the first of these fields that the struct column has, else NULL."""
    kind = columns.get(struct, "")
    found = next((name for name in names if _has_field(kind, name)), None)
    return "NULL" if found is None else f"{quote_identifier(struct)}[{quote_literal(found)}]"


def _has_field(struct_type: str, name: str) -> bool:
    """Whether DuckDB's text of a struct's type names the field: STRUCT("label" BIGINT, ...)."""
    return any(f"{start}{quote_identifier(name)} " in struct_type for start in ("(", ", ")) or any(
        f"{start}{name} " in struct_type for start in ("(", ", ")
    )


def _label_source(files: Iterable[Path]) -> str:
    """SQL for the rows of all files by the names of their columns, with probability and source, null where a file does not have the column.

    To find the columns of each file first would take twice as long.
    """
    read = f"{_source(files)[:-1]}, union_by_name = true)"
    return f"(SELECT NULL::DOUBLE AS probability, NULL::VARCHAR AS source WHERE false UNION ALL BY NAME SELECT * FROM {read})"


def _source(files: Iterable[Path]) -> str:
    paths = ", ".join(quote_literal(str(file)) for file in sorted(files))
    return f"read_parquet([{paths}], hive_partitioning = false)"

"""Counts of logged rows, for a version whose server counts nothing since its model has no baseline.json.

The first window with enough rows decides the bins: 20 quantiles of each number, the 64 most frequent categories of each text, 50 bins
of the prediction. Then the rows of each file and minute are counted into the same documents as a server's, so that all that follows
is the same. Rows are a sample of the traffic where the log takes one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from flywheel_runtime.datasets.sql import quote_literal
from flywheel_runtime.monitoring.documents import ROWS_BASELINE, CountDocument, DocumentKey, DocumentProblems, Series
from flywheel_runtime.monitoring.layout import SERVICE_CELLS, ColumnShape, Counts, Layout
from flywheel_runtime.monitoring.reference import ColumnFacts

BINS, CATEGORIES, PREDICTION_BINS = 20, 64, 50
MIN_CATEGORY_SHARE = 0.5  # of the rows, in those categories; below it a text is no category
SECONDS = 60  # of a document
DATABASE_MEMORY = "128MiB"  # of a file that is read
NUMBERS = frozenset(
    ["tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "float", "double"]
)
TEXTS = frozenset(["varchar", "boolean"])
SCORES = ("probabilities", "prediction", "label")  # of several outputs the first, as the server counts them
RENAMED = "predicted_"  # before an output's name where a feature has it

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RowTable:
    """The rows of one version in one file. `times` are seconds since 1970; numbers are 32-bit floats, as servers compare them."""

    file: str
    version: str
    digest: str
    times: Array
    first_rows: Array  # whether a row is the first one of its request
    numbers: Mapping[str, Array]
    texts: Mapping[str, Array]
    score: Array | None
    confidence: Array | None = None  # the probability of the predicted class

    @property
    def series(self) -> Series:
        """What the rows are counted as."""
        return Series(self.version, self.digest, ROWS_BASELINE)

    def select(self, start: float, end: float) -> "RowTable":
        """The rows from `start` until before `end`, in seconds since 1970."""
        chosen = (self.times >= start) & (self.times < end)
        return replace(
            self,
            times=self.times[chosen],
            first_rows=self.first_rows[chosen],
            numbers={name: each[chosen] for name, each in self.numbers.items()},
            texts={name: each[chosen] for name, each in self.texts.items()},
            score=None if self.score is None else self.score[chosen],
            confidence=None if self.confidence is None else self.confidence[chosen],
        )


def read_rows(
    files: Iterable[Path],
    versions: frozenset[str],
    problems: DocumentProblems,
    digests: Mapping[str, str] | None = None,
    root: Path | None = None,
) -> Iterator[RowTable]:
    """The rows of these versions that they answered themselves, file by file; one that cannot be read is counted.

    Another server's rows have no digest but that in `digests`, and its files are known by their paths below `root`, not by their names.
    """
    listed = sorted(files)
    if not listed:
        return  # most runs have none, and a database takes longer than all the rest here
    with duckdb.connect(config={"memory_limit": DATABASE_MEMORY, "threads": 1}) as connection:
        for file in listed:
            name = file.name if root is None else file.relative_to(root).as_posix()
            try:
                tables = _read_file(connection, file, name, versions, digests or {})
            except (duckdb.Error, ValueError, KeyError, TypeError) as error:
                problems.add("unreadable", f"{name}: {type(error).__name__}: {' '.join(str(error).split())}")
                continue
            yield from tables


def _read_file(
    connection: duckdb.DuckDBPyConnection, file: Path, name: str, versions: frozenset[str], digests: Mapping[str, str]
) -> list[RowTable]:
    rows = connection.read_parquet(str(file), hive_partitioning=False)
    types = dict(zip(rows.columns, rows.types, strict=True))
    features = _fields(types, "features")
    numbers = [name for name, kind in features.items() if kind in NUMBERS]
    texts = [name for name, kind in features.items() if kind in TEXTS]
    score, probabilities = _score(_fields(types, "outputs")), _probabilities(_fields(types, "outputs"))
    selected = [
        "version",
        "coalesce(digest, '') AS digest" if "digest" in types else "'' AS digest",
        "epoch(time) AS time",
        '"row" = 0 AS is_first' if "row" in types else "true AS is_first",
        *(f"features[{quote_literal(name)}]::FLOAT AS n{index}" for index, name in enumerate(numbers)),
        *(f"features[{quote_literal(name)}]::VARCHAR AS t{index}" for index, name in enumerate(texts)),
        *([f"({score})::FLOAT AS score"] if score else []),
        *([f"list_max({probabilities})::FLOAT AS confidence"] if probabilities else []),
    ]
    rows = rows.filter("route != 'Forwarded'") if "route" in types else rows
    found = rows.project(", ".join(selected)).fetchnumpy()
    tables = []
    for version in sorted(versions & set(found["version"].tolist())):
        chosen = np.asarray(found["version"] == version)
        known = sorted(set(found["digest"][chosen].tolist()) - {""})
        tables.append(
            RowTable(
                name,
                version,
                known[0] if known else digests.get(version, ""),
                np.asarray(found["time"][chosen], np.float64),
                np.asarray(found["is_first"][chosen], bool),
                {name: read_number_array(found[f"n{index}"][chosen]) for index, name in enumerate(numbers)},
                {name: read_text_array(found[f"t{index}"][chosen]) for index, name in enumerate(texts)},
                read_number_array(found["score"][chosen]) if score else None,
                read_number_array(found["confidence"][chosen]) if probabilities else None,
            )
        )
    return tables


def _fields(types: Mapping[str, Any], struct: str) -> dict[str, str]:
    """The fields of a struct column with their types, `list` for a list."""
    if struct not in types or types[struct].id != "struct":
        return {}
    return {str(name): str(kind.id) for name, kind in types[struct].children}


def _score(outputs: Mapping[str, str]) -> str:
    """SQL for what is counted of the outputs: the last class's probability, else the predicted value, else a label that is a number."""
    for role in SCORES:
        for name, kind in outputs.items():
            if name.removeprefix(RENAMED) == role and (kind in NUMBERS or kind == "list"):
                return f"outputs[{quote_literal(name)}]" + ("[-1]" if kind == "list" else "")
    return ""


def _probabilities(outputs: Mapping[str, str]) -> str:
    """SQL for the list of the classes' probabilities; empty where there is none."""
    names = (name for name, kind in outputs.items() if name.removeprefix(RENAMED) == SCORES[0] and kind == "list")
    return next((f"outputs[{quote_literal(name)}]" for name in names), "")


def read_number_array(values: Any) -> Array:
    """Numbers of DuckDB as 32-bit floats, NaN where they are missing."""
    narrow: Array = np.ma.filled(np.ma.asarray(values, np.float32), np.nan)
    return narrow


def read_text_array(values: Any) -> Array:
    """Texts of DuckDB, empty where they are missing."""
    filled: Array = np.ma.filled(np.ma.asarray(values, object), "")
    return filled.astype(str)


@dataclass(frozen=True)
class RowBins:
    """The bins of each column by its name, and of the prediction (empty: it is not counted)."""

    edges: Mapping[str, tuple[float, ...]]
    categories: Mapping[str, tuple[str, ...]]
    prediction: tuple[float, ...]
    untested: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The JSON that `from_json` reads."""
        return {
            "edges": {name: list(each) for name, each in self.edges.items()},
            "categories": {name: list(each) for name, each in self.categories.items()},
            "prediction": list(self.prediction),
            "untested": dict(self.untested),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "RowBins":
        """The bins in a document. Raises KeyError, TypeError."""
        edges = {name: tuple(each) for name, each in document["edges"].items()}
        categories = {name: tuple(each) for name, each in document["categories"].items()}
        return cls(edges, categories, tuple(document["prediction"]), document["untested"])

    @property
    def layout(self) -> Layout:
        """The layout of the documents."""
        numbers: list[ColumnShape] = [(name, "Number", len(each) - 1) for name, each in self.edges.items()]
        texts: list[ColumnShape] = [(name, "Category", len(each)) for name, each in self.categories.items()]
        return Layout((*numbers, *texts), len(self.prediction) - 1 if self.prediction else None)

    @property
    def facts(self) -> dict[str, ColumnFacts]:
        """What a reference knows of the columns; the prediction's name is empty."""
        numbers = {name: ColumnFacts(each, untested=self.untested.get(name, "")) for name, each in self.edges.items()}
        texts = {
            name: ColumnFacts(categories=each, untested=self.untested.get(name, ""))
            for name, each in self.categories.items()
        }
        return {**numbers, **texts, "": ColumnFacts(self.prediction)}


def freeze_bins(tables: Sequence[RowTable], timestamps: frozenset[str] = frozenset()) -> RowBins:
    """The bins of these rows; a number without a finite value has none. The columns `timestamps` are not tested for drift."""
    edges: dict[str, tuple[float, ...]] = {}
    categories: dict[str, tuple[str, ...]] = {}
    untested = dict.fromkeys(sorted(timestamps), "a timestamp")
    # In the order of names, which the state's JSON has: documents of other orders are not added to one another.
    for name in sorted({name for table in tables for name in table.numbers}):
        values = np.concatenate([table.numbers[name] for table in tables if name in table.numbers])
        if len(finite := values[np.isfinite(values)]):
            points = np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1), method="inverted_cdf"))
            edges[name] = tuple(float(each) for each in (points if len(points) > 1 else points.repeat(2)))
    for name in sorted({name for table in tables for name in table.texts}):
        values, counts = np.unique(
            np.concatenate([table.texts[name] for table in tables if name in table.texts]), return_counts=True
        )
        ranked = sorted(
            ((int(count), str(value)) for value, count in zip(values, counts, strict=True) if value),
            key=lambda each: (-each[0], each[1]),
        )
        categories[name] = tuple(value for _, value in ranked[:CATEGORIES])
        if sum(count for count, _ in ranked[:CATEGORIES]) < MIN_CATEGORY_SHARE * sum(count for count, _ in ranked):
            untested[name] = "free text or an identifier"
    return RowBins(edges, categories, _prediction_edges(tables), untested)


def _prediction_edges(tables: Sequence[RowTable]) -> tuple[float, ...]:
    scores = [table.score for table in tables if table.score is not None]
    finite = np.concatenate([each[np.isfinite(each)] for each in scores]) if scores else np.zeros(0)
    if not len(finite):
        return ()
    low, high = float(finite.min()), float(finite.max())
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return tuple(float(each) for each in np.linspace(low, high if high > low else low + 1, PREDICTION_BINS + 1))


def count_table(table: RowTable, bins: RowBins, series: Series | None = None) -> list[CountDocument]:
    """One document for each minute of a file, of the table's series or the given one; a column that it does not have is missing."""
    minutes, inverse = np.unique((table.times // SECONDS).astype(np.int64), return_inverse=True)
    rows = len(table.times)
    nothing, empty = np.full(rows, np.nan, np.float32), np.full(rows, "")
    blocks = [
        _count_numbers(table.numbers.get(name, nothing), each, inverse, len(minutes))
        for name, each in bins.edges.items()
    ]
    blocks += [
        _count_texts(table.texts.get(name, empty), each, inverse, len(minutes))
        for name, each in bins.categories.items()
    ]
    if bins.prediction:
        scores = nothing if table.score is None else table.score
        blocks.append(_count_numbers(scores, bins.prediction, inverse, len(minutes)))
    blocks.append(np.zeros((len(minutes), SERVICE_CELLS), np.int64))  # rows do not tell of errors
    counts = np.concatenate(blocks, axis=1)
    totals = np.bincount(inverse, minlength=len(minutes)).tolist()
    requests = np.bincount(inverse, weights=table.first_rows, minlength=len(minutes)).astype(int).tolist()
    layout = bins.layout
    return [
        CountDocument(
            series or table.series,
            DocumentKey("rows", table.file, int(minute)),
            float(minute) * SECONDS,
            requests[index],
            totals[index],
            totals[index],
            layout,
            counts[index],
        )
        for index, minute in enumerate(minutes)
    ]


def _count_numbers(values: Array, edges: tuple[float, ...], minutes: Array, length: int) -> Counts:
    """Cells [minutes, cells] as the server counts them: a bin includes its lower edge, and the last bin both."""
    bounds, size = np.asarray(edges, np.float32), len(edges) + 3
    cells, is_reached = np.zeros(len(values), np.int16), np.empty(len(values), bool)
    for bound in bounds:  # for some tens of edges several times as fast as a search
        cells += np.greater_equal(values, bound, out=is_reached)
    cells -= values == bounds[-1]
    cells[np.isnan(values)] = size - 2
    cells[np.isinf(values)] = size - 1
    return np.bincount(minutes * size + cells, minlength=length * size).reshape(length, size)


def _count_texts(values: Array, categories: tuple[str, ...], minutes: Array, length: int) -> Counts:
    size, places = len(categories) + 2, {category: place for place, category in enumerate(categories)}
    distinct, inverse = np.unique(values, return_inverse=True)
    cells = np.array([size - 1 if not each else places.get(str(each), size - 2) for each in distinct], np.int64)
    return np.bincount(minutes * size + cells[inverse], minlength=length * size).reshape(length, size)

"""The process that reads a table once by the runtime that PYTHONPATH names: this revision's or one before it.

`python reading.py dataset|batch FOLDER` prints {"cpu_seconds"}; the folder has one file.
"""

import importlib
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

NUMBERS, INTEGERS, TEXTS = 20, 5, 5
NOTE = "A table of 20 columns of floats, 5 of integers and 5 of text, in one file; the cells of all of them are read and typed."


def write_tables(folder: Path, rows: int) -> None:
    """The same table as CSV and as Parquet, in folders of that name."""
    numbers = [f"round(random() * 1000, 4) AS n{at}" for at in range(NUMBERS)]
    integers = [f"(random() * 100000)::INTEGER AS i{at}" for at in range(INTEGERS)]
    texts = [f"'category ' || (random() * 40)::INTEGER AS t{at}" for at in range(TEXTS)]
    with duckdb.connect() as connection:
        connection.execute("SELECT setseed(0.5); SET threads = 1")
        for name, options in (("CSV", "FORMAT csv, HEADER"), ("Parquet", "FORMAT parquet")):
            path = folder / name / f"a.{name.lower()}"
            path.parent.mkdir()
            columns = ", ".join([*numbers, *integers, *texts])
            connection.execute(f"COPY (SELECT {columns} FROM range({rows})) TO '{path}' ({options})")


def read_dataset(folder: Path) -> None:
    """Load the source and type its columns, as the check of a Dataset does."""
    from flywheel_runtime.datasets import source, sql, types

    files = source.list_files(folder)
    with tempfile.TemporaryDirectory() as scratch, sql.connect(Path(scratch)) as connection:
        with sql.preserve_order(connection):
            stated = source.load_source(connection, files, _form())
        inferred = types.infer_types(connection, [name for name, kind in stated.items() if kind is None])
        kinds = {name: kind or inferred[name] for name, kind in stated.items()}
        values = ", ".join(f"{types.typed_value(name, stated[name], kinds[name], True)} AS {name}" for name in kinds)
        with sql.preserve_order(connection):
            connection.execute(f"CREATE TABLE data AS SELECT {values} FROM raw")


def _form() -> Any:
    """What `load_source` is told of the files: nothing; revisions before have another type for it."""
    try:
        from flywheel_runtime.datasets.formats import TableForm
    except ImportError:
        return None
    return TableForm()


@dataclass
class Source:
    """A source of one file on this disk."""

    path: Path
    name: str = "folder"

    def files(self) -> list[Any]:
        from flywheel_runtime.commands.batch.storage.locations import File

        return [File(self.path.name, self.path.stat().st_size, "1")]

    def read_range(self, _file: Any, start: int, stop: int) -> bytes:
        with self.path.open("rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)


def read_batch(folder: Path) -> None:
    """Cut the file, read all rows and make the tensors, as a batch does before it asks the server."""
    from flywheel_runtime.commands.batch.inference import model_inputs
    from flywheel_runtime.commands.batch.inference.client import Tensor

    (path,) = folder.iterdir()
    names = [f"n{at}" for at in range(NUMBERS)] + [f"i{at}" for at in range(INTEGERS)]
    tensors = [Tensor(name, "FP32", (-1, 1)) for name in names]
    tensors += [Tensor(f"t{at}", "BYTES", (-1, 1)) for at in range(TEXTS)]
    features = [model_inputs.Feature(tensor, (tensor.name,)) for tensor in tensors]
    try:
        from flywheel_runtime.commands.batch.reading.choice import FORMATS
    except ImportError:
        _read_before(Source(path), folder.name, features)
        return
    from flywheel_runtime.commands.batch.reading import Piece
    from flywheel_runtime.commands.batch.reading.columns import describe_cells
    from flywheel_runtime.datasets.sql import connect

    source, form, reader = Source(path), _form(), FORMATS[folder.name]
    (file,) = source.files()
    head = reader.head(source, file, form)
    wanted = tuple(tensor.name for tensor in tensors)
    with tempfile.TemporaryDirectory() as scratch, connect(Path(scratch), threads=1) as connection:
        cells = describe_cells(folder.name, head, wanted, form)
        for part in reader.slices(source, file, head, 64 << 20):
            piece = Piece(source, file, head, part, wanted)
            for chunk in reader.chunks(connection, piece, form, Path(scratch)):
                model_inputs.read_tensors(connection, chunk.rows, features, cells)
                if chunk.table is not None:
                    connection.execute(f"DROP TABLE {chunk.table}")


def _read_before(source: Source, format_: str, features: list[Any]) -> None:
    """As `read_batch`, by the modules of revisions before the one reader."""
    reader = importlib.import_module("flywheel_runtime.commands.batch.formats.choice").FORMATS[format_]
    model_inputs: Any = importlib.import_module("flywheel_runtime.commands.batch.inference.model_inputs")
    (file,) = source.files()
    head = reader.head(source, file)
    wanted = [feature.columns[0] for feature in features]
    with tempfile.TemporaryDirectory() as scratch:
        for part in reader.slices(source, file, 64 << 20):
            for rows in reader.rows(source, file, head, part, wanted, Path(scratch)):
                model_inputs.tensors(features, rows)


def main() -> None:
    """Read once, and print what it cost."""
    # What a step imports in any case.
    for name in ("check.main", "batch.plan", "batch.score"):
        importlib.import_module(f"flywheel_runtime.commands.{name}")
    before = time.process_time()
    {"dataset": read_dataset, "batch": read_batch}[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"cpu_seconds": round(time.process_time() - before, 3)}))


if __name__ == "__main__":
    os.environ.setdefault("TMPDIR", "/tmp")
    main()

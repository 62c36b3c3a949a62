"""An input from a database server: its rows as files of Parquet, one for each batch, in no order."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from flywheel_runtime.commands.fetch.databases.changes import READ_FILE, Changes
from flywheel_runtime.commands.fetch.databases.session import Session, prepare_session
from flywheel_runtime.commands.fetch.item import Item, too_large
from flywheel_runtime.contract.config.fetch import SqlSource
from flywheel_runtime.contract.errors import Failure

SNAPSHOT = "snapshot"  # the input with the rows of the last check that passed
Batches = Callable[[Session], AbstractContextManager[Iterator[Any]]]


def items(
    source: SqlSource, folder: Path, env: Mapping[str, str], limit: int | None, check_free: Callable[[int], None]
) -> list[Item]:
    """The one read of the source. `check_free` raises a Failure if the disk cannot take so many bytes more."""
    port, read_batches = find_engine(source.engine)
    changes = Changes(source, folder.with_name(SNAPSHOT), folder)
    session = prepare_session(source, port, env, changes)

    def download() -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with read_batches(session) as batches:
            write_batches(session.source, batches, folder, limit, check_free)

    return [Item(None, download, reads_inputs=True)]


def find_engine(name: str) -> tuple[int, Batches]:
    """The usual port of a server's software, and the function that reads from it. A driver takes 0.1 s, so only the one that is needed is imported."""
    if name == "PostgreSQL":
        from flywheel_runtime.commands.fetch.databases import postgresql

        return postgresql.PORT, postgresql.read_batches
    if name == "MariaDB":
        from flywheel_runtime.commands.fetch.databases import mariadb

        return mariadb.PORT, mariadb.read_batches
    raise Failure("SourceInvalid", f"'{name}' is no engine that this release reads; correct the source's engine")


def write_batches(
    source: SqlSource, batches: Iterator[Any], folder: Path, limit: int | None, check_free: Callable[[int], None]
) -> None:
    """Write each batch as a file, within the limits of rows, bytes and disk."""
    from arro3.io import write_parquet

    rows = written = 0
    for number, batch in enumerate(batches):
        rows += batch.num_rows
        if source.max_rows is not None and rows > source.max_rows:
            words = f"{source.subject} has more than {source.max_rows:,} rows; raise the source's maxRows or read fewer rows"
            raise Failure("TooLarge", words)
        check_free(batch.nbytes)
        part = folder / f"rows-{number:06}.parquet"
        write_parquet(batch, part, compression="zstd(1)")
        written += part.stat().st_size
        if limit is not None and written > limit:
            raise too_large(written, limit, "at least ")
    if not rows and not _has_earlier_rows(folder):
        raise Failure(
            "EmptySource",
            f"{source.subject} has no rows in database '{source.database}'; write rows or correct the source",
        )


def _has_earlier_rows(folder: Path) -> bool:
    """Whether only rows were asked for that the last snapshot does not have."""
    read = folder / READ_FILE
    return read.exists() and json.loads(read.read_text(encoding="utf-8"))["bound"] is not None

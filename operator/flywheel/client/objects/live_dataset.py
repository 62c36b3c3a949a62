"""Datasets: their versions, their profile, and their rows as DataFrames."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from flywheel.client.display import DisplayTable, import_pandas
from flywheel.client.downloads import RemoteFile, list_files, read_verified
from flywheel.client.errors import FlywheelError, MissingExtra
from flywheel.client.objects.live_resource import LiveResource
from flywheel.client.transport.reader import path_of
from flywheel.core.resource.api import DATASET

if TYPE_CHECKING:
    import pandas as pd

Split = Literal["train", "validation", "test"]
MAX_PAGE_ROWS = 100_000  # of one response; the reader gives fewer where they are long


@dataclass(frozen=True, repr=False)
class LiveDataset(LiveResource):
    """A Dataset, read anew by each method. `version` is that of the status where it is not given."""

    api = DATASET
    shown_status: ClassVar[Mapping[str, str]] = {"version": "version", "rows": "rows"}

    def versions(self) -> DisplayTable:
        """Returns the versions, the current one first."""
        found = (self.manifest.get("status") or {}).get("versions") or []
        rows = [
            {key: each.get(key) for key in ("name", "rows", "task", "classes", "digest", "checkedAt")} for each in found
        ]
        return DisplayTable(rows, caption=f"versions of Dataset '{self.name}'")

    def profile(self, version: str | None = None) -> Mapping[str, Any]:
        """Returns the statistics of each column."""
        return self.session.reader.get_json(self._path(version, "profile"))

    def to_pandas(
        self,
        split: Split = "train",
        *,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        version: str | None = None,
    ) -> "pd.DataFrame":
        """Returns the rows of a split, at most `limit`. It needs `read-data` on the Dataset.

        Without a limit the split's file is read whole, and its bytes have the SHA-256 that the Dataset's status leads to.
        """
        pandas = import_pandas("a DataFrame")
        name = self.version_name(version)
        if limit is None:
            found = self._read_split(name, split, columns)
        else:
            frames = list(self._read_pages(name, split, columns, limit))
            found = pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()
        found.attrs.update(dataset=self.name, version=name, split=split)
        return found

    def _read_split(self, version: str, split: Split, columns: Sequence[str] | None) -> "pd.DataFrame":
        file = next((each for each in self.files(version) if each.target == f"{split}.parquet"), None)
        if file is None:
            raise FlywheelError(
                f"version '{version}' of Dataset '{self.name}' has no split '{split}'", reason="NotFound"
            )
        return read_parquet(read_verified(self.session.reader, file), columns)

    def _read_pages(
        self, version: str, split: Split, columns: Sequence[str] | None, limit: int
    ) -> Iterator["pd.DataFrame"]:
        query = [("split", split), *(("columns", each) for each in columns or ()), ("format", "arrow")]
        count = 0
        while count < limit:
            window = [("limit", str(min(limit - count, MAX_PAGE_ROWS))), ("offset", str(count))]
            content = self.session.reader.get_bytes(self._path(version, "rows"), [*query, *window])
            frame = read_arrow(content)
            if count and frame.empty:
                return
            yield frame
            if frame.empty:
                return
            count += len(frame)

    def files(self, version: str | None = None) -> list[RemoteFile]:
        """Returns the files of a version's artifact. Their list has the digest that the Dataset's status states.

        Raises:
            FlywheelError: the Dataset has no such version, or the list has another digest.
        """
        name = self.version_name(version)
        digest = next((str(each["digest"]) for each in self.versions() if each["name"] == name), None)
        if digest is None:
            message = f"Dataset '{self.name}' has no version '{name}'; .versions() lists what it has"
            raise FlywheelError(message, reason="NotFound", status=404)
        base = (self.session.namespace, "datasets", self.name, "versions", name)
        return list_files(self.session.reader, base, digest, f"version '{name}' of Dataset '{self.name}'", ("files",))

    def version_name(self, version: str | None = None) -> str:
        """Returns the name of a version: the given one, or the current one.

        Raises:
            FlywheelError: the Dataset has none yet; the error has its condition.
        """
        return version or self.status_field("version", "version", "its check has not ended", "NoVersion")

    def _path(self, version: str | None, *more: str) -> str:
        return path_of(self.session.namespace, "datasets", self.name, "versions", self.version_name(version), *more)


def read_arrow(content: bytes) -> "pd.DataFrame":
    """Returns a DataFrame of an Arrow IPC stream. Integers with missing values become floats, as in `pandas.read_csv`."""
    return _to_frame(read_arrow_table(content), None)


def read_arrow_table(content: bytes) -> Any:
    """Returns the table of an Arrow IPC stream.

    Raises:
        FlywheelError: the bytes are something else.
    """
    arro3 = import_arro3()
    try:
        return arro3.read_ipc_stream(io.BytesIO(content)).read_all()
    except Exception as error:
        message = f"the rows that the reader sent are not Arrow ({error}); see whether --reader-url is right"
        raise FlywheelError(message, reason="Garbled") from error


def read_parquet(content: bytes, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """Returns a DataFrame of a Parquet file, with these columns or all.

    Raises:
        FlywheelError: it does not have a column.
    """
    return _to_frame(import_arro3().read_parquet(io.BytesIO(content)).read_all(), columns)


def import_arro3() -> Any:
    """Returns arro3.io.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import arro3.io
    except ImportError:
        raise MissingExtra("arro3-io", "reading a Dataset's rows") from None
    return arro3.io


def _to_frame(table: Any, columns: Sequence[str] | None) -> "pd.DataFrame":
    pandas = import_pandas("a DataFrame")
    unknown = [name for name in columns or () if name not in table.column_names]
    if unknown:
        raise FlywheelError(
            f"the data has no column {', '.join(map(repr, unknown))}; it has {', '.join(map(repr, table.column_names[:30]))}",
            reason="NoColumn",
        )
    found: pd.DataFrame = pandas.DataFrame(
        {name: _to_array(table.column(name)) for name in columns or table.column_names}
    )
    return found


def _to_array(column: Any) -> Any:
    if len(column) and column.null_count == 0 and type(column.type).is_numeric(column.type):
        return column.to_numpy()
    return column.to_pylist()

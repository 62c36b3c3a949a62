"""Datasets: their versions, their profile, and their rows as DataFrames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from flywheel.client.display import DisplayFields, DisplayTable, import_pandas
from flywheel.client.downloads import RemoteFile, list_files
from flywheel.client.errors import FlywheelError, MissingExtra, describe_condition
from flywheel.client.transport.reader import path_of
from flywheel.core.resource.api import DATASET, Manifest

if TYPE_CHECKING:
    import pandas as pd

    from flywheel.client.session import Session

Split = Literal["train", "validation", "test"]
MAX_PAGE_ROWS = 100_000  # of one response
MAX_PAGE_BYTES = 64 << 20  # of Arrow; the reader gives fewer rows where these are longer


@dataclass(frozen=True)
class LiveDataset(DisplayFields):
    """A Dataset, read anew by each method. `version` is that of the status where it is not given."""

    session: "Session"
    name: str

    @property
    def manifest(self) -> Manifest:
        """The object as it is now."""
        return self.session.require(DATASET, self.name)

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
        """Returns the rows of a split, at most `limit`. It needs `read-data` on the Dataset."""
        pandas = import_pandas("a DataFrame")
        name = self.version_name(version)
        path = self._path(name, "rows")
        query = [("split", split), *(("columns", each) for each in columns or ()), ("format", "arrow")]
        frames: list[pd.DataFrame] = []
        count = 0
        while limit is None or count < limit:
            size = MAX_PAGE_ROWS if limit is None else min(limit - count, MAX_PAGE_ROWS)
            content = self.session.reader.get_bytes(
                path, [*query, ("limit", str(size)), ("offset", str(count))], max_bytes=2 * MAX_PAGE_BYTES
            )
            frame = read_arrow(content)
            if frames and frame.empty:
                break
            frames.append(frame)
            count += len(frame)
            if frame.empty:
                break
        found: pd.DataFrame = pandas.concat(frames, ignore_index=True) if frames else pandas.DataFrame()
        found.attrs.update(dataset=self.name, version=name, split=split)
        return found

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
        return list_files(self.session.reader, base, digest, f"version '{name}' of Dataset '{self.name}'")

    def version_name(self, version: str | None = None) -> str:
        """Returns the name of a version: the given one, or the current one.

        Raises:
            FlywheelError: the Dataset has none yet; the error has its condition.
        """
        if version is not None:
            return version
        manifest = self.manifest
        found = (manifest.get("status") or {}).get("version")
        if not found:
            condition = describe_condition(manifest)
            said = condition.get("message") or "its check has not ended"
            raise FlywheelError(
                f"Dataset '{self.name}' has no version yet: {said}", reason="NoVersion", condition=condition
            )
        return str(found)

    def _path(self, version: str | None, *more: str) -> str:
        return path_of(self.session.namespace, "datasets", self.name, "versions", self.version_name(version), *more)

    def _display_fields(self) -> Mapping[str, Any]:
        manifest = self.manifest
        status = manifest.get("status") or {}
        condition = describe_condition(manifest)
        return {
            "version": status.get("version"),
            "rows": status.get("rows"),
            "state": condition.get("reason"),
            "message": condition.get("message"),
        }

    def __repr__(self) -> str:
        return f"<Dataset '{self.name}' in namespace '{self.session.namespace}'>"


def read_arrow(content: bytes) -> "pd.DataFrame":
    """Returns a DataFrame of an Arrow IPC stream. Integers with missing values become floats, as in `pandas.read_csv`."""
    pandas = import_pandas("a DataFrame")
    try:
        from arro3.io import read_ipc_stream
    except ImportError:
        raise MissingExtra("arro3-io", "a DataFrame of a Dataset's rows") from None
    import io

    table = read_ipc_stream(io.BytesIO(content)).read_all()
    columns = {name: table.column(name) for name in table.column_names}
    found: pd.DataFrame = pandas.DataFrame({name: _to_array(column) for name, column in columns.items()})
    return found


def _to_array(column: Any) -> Any:
    if column.null_count == 0 and column.type.is_numeric():
        return column.to_numpy()
    return column.to_pylist()

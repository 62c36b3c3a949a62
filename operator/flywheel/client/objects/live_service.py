"""InferenceServices: predictions, and the rows that were logged of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from flywheel.client.display import DisplayTable
from flywheel.client.errors import FlywheelError
from flywheel.client.objects.live_resource import LiveResource
from flywheel.client.predictor import Rows, flatten_prediction
from flywheel.client.transport.reader import path_of
from flywheel.client.trial_list import parse_number, parse_time
from flywheel.core.resource.api import INFERENCE_SERVICE

if TYPE_CHECKING:
    import pandas as pd

MAX_PAGE_ROWS = 100_000  # of one response; the reader gives fewer where they are long
DEFAULT_ROWS = 1000


@dataclass(frozen=True, repr=False)
class LiveService(LiveResource):
    """An InferenceService, read anew by each method."""

    api = INFERENCE_SERVICE
    shown_status: ClassVar[Mapping[str, str]] = {"version": "version", "url": "url"}

    def predict(self, rows: "Rows | pd.DataFrame") -> "list[Mapping[str, Any]] | pd.DataFrame":
        """Returns one prediction for each row, by whichever version the service serves: a DataFrame for a DataFrame, else a list."""
        return self.session.predictor(self.manifest, is_named=True).predict(rows)

    def predictions(
        self,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        *,
        limit: int | None = DEFAULT_ROWS,
    ) -> DisplayTable:
        """Returns the rows that spec.logging has stored, oldest first, at most `limit`. It needs `read-data` on the InferenceService.

        The period is that of whole hours from `start` to `end`, times with a zone or texts such as 2026-11-29T12:00:00Z; by default the
        last 24 hours. Values are the columns `features.<name>` and `outputs.<name>`.
        """
        rows = [flatten_row(each) for each in self.logged_rows(start, end, limit)]
        return DisplayTable(rows, caption=f"logged predictions of {self}")

    def logged_rows(
        self, start: datetime | str | None, end: datetime | str | None, limit: int | None
    ) -> Iterator[Mapping[str, Any]]:
        """Yields the rows as the reader has them, page by page."""
        path = path_of(self.session.namespace, "inferenceservices", self.name, "predictions")
        period = {"from": _time_text(start), "to": _time_text(end)}
        position: dict[str, str] = {}
        remaining = limit
        while remaining is None or remaining > 0:
            size = MAX_PAGE_ROWS if remaining is None else min(remaining, MAX_PAGE_ROWS)
            query = {**period, **position, "limit": str(size)}
            page = self.session.reader.get_json(path, [(name, text) for name, text in query.items() if text])
            items = page.get("items") or []
            yield from items
            remaining = None if remaining is None else remaining - len(items)
            period = {name: str(page.get(name) or given) for name, given in period.items()}  # "now" of the first page
            before = position
            if page.get("next") is not None:
                position = {**position, "offset": str(page["next"])}
            elif page.get("after") is not None:
                position = {"after": str(page["after"])}
            if position == before:
                return


def flatten_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a logged row with a column for each feature and output."""
    flat = {name: parse_number(value) for name, value in flatten_prediction(row).items()}
    return {**flat, "time": parse_time(row.get("time"))} if "time" in row else flat


def _time_text(moment: datetime | str | None) -> str:
    if not isinstance(moment, datetime):
        return moment or ""
    if moment.tzinfo is None:
        raise FlywheelError(f"the time {moment} has no zone; give one, such as datetime.UTC", reason="BadTime")
    return moment.isoformat()

"""The logged rows of which some are drawn to be labelled: those of one version in one period, with what the model expects of each."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flywheel.client.errors import FlywheelError
from flywheel.client.labels.label_sampling import RowClass, classify_row, random_number
from flywheel.client.trial_list import parse_time

MAX_ROWS = 50_000  # in memory; of more, those with the smallest random numbers stand for all
MAX_GROUPS = 20  # of the columns, those with the most rows; the others are one group
OTHER_GROUP = "(other)"
RENAMED = "predicted_"  # before an output's name where a feature has it

LoggedRow = Mapping[str, Any]


@dataclass(frozen=True)
class ExpectedLoss:
    """What is known of a row's loss before its label is: by the model's probabilities, else by the version's metrics on test rows.

    `metric` is that of the ModelMonitor. `test_metrics` are those of the version; without mae and rmse, no width of an interval is known.
    """

    metric: str
    test_metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_known_for_values(self) -> bool:
        """Whether the loss of a predicted value is known."""
        return {"mae", "rmse"} <= self.test_metrics.keys()

    def classify(self, row: LoggedRow, group: str) -> RowClass | None:
        """Returns the class of a row; None where it has no output that a label could be compared with."""
        outputs = row.get("outputs") or {}
        probabilities = find_output(outputs, "probabilities")
        if isinstance(probabilities, list):
            numbers = [each for each in probabilities if isinstance(each, int | float) and math.isfinite(each)]
            return classify_row(self.metric, numbers, group) if len(numbers) == len(probabilities) > 1 else None
        if all(find_output(outputs, role) is None for role in ("prediction", "label")):
            return None
        mae, rmse = self.test_metrics.get("mae", 1.0), self.test_metrics.get("rmse", math.sqrt(2))
        return RowClass(mae, max(rmse, mae) ** 2, group)


def find_output(outputs: Mapping[str, Any], role: str) -> Any:
    """Returns the output of a role, which has another name where a feature has that of the role."""
    return outputs.get(role, outputs.get(RENAMED + role))


@dataclass
class LoggedFrame:
    """Rows with random numbers below `bound`. `salt` makes the numbers; `by` are columns whose values are groups.

    Rows without an output are left out, and so are rows that share an id, since a label by that id says nothing.
    """

    salt: str
    version: str
    start: datetime
    end: datetime
    expected: ExpectedLoss
    by: Sequence[str] = ()
    bound: float = 1.0
    rows: list[tuple[float, LoggedRow]] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)  # rows of the period, by version

    def read(self, rows: Iterable[LoggedRow]) -> None:
        """Adds the rows of the version in the period.

        Raises:
            FlywheelError: a row lacks a column of `by`.
        """
        for row in rows:
            time = parse_time(row.get("time"))
            if time is None or not self.start <= time < self.end:
                continue
            self.versions[str(row.get("version"))] += 1
            number = random_number(self.salt, str(row.get("id")), int(row.get("row") or 0))
            if row.get("version") != self.version or number >= self.bound:
                continue
            self._check_columns(row)
            self.rows.append((number, row))
            if len(self.rows) > MAX_ROWS:
                self.bound /= 2
                self.rows = [each for each in self.rows if each[0] < self.bound]

    def _check_columns(self, row: LoggedRow) -> None:
        features = row.get("features") or {}
        if missing := [name for name in self.by if name not in features]:
            raise FlywheelError(
                f"the logged rows have no column '{missing[0]}'; they have {', '.join(sorted(features))}",
                reason="ColumnNotLogged",
            )

    def classify(self) -> list[tuple[float, LoggedRow, RowClass]]:
        """Returns each row that can be drawn with its random number and its class."""
        names = Counter((row.get("id"), row.get("row")) for _, row in self.rows)
        sizes = Counter(self._group(row) for _, row in self.rows)
        known = {group for group, _ in sizes.most_common(MAX_GROUPS)}
        found = []
        for number, row in self.rows:
            group = self._group(row)
            row_class = self.expected.classify(row, group if group in known else OTHER_GROUP)
            if row_class is not None and names[row.get("id"), row.get("row")] == 1:
                found.append((number, row, row_class))
        return found

    def _group(self, row: LoggedRow) -> str:
        return " ".join(str((row.get("features") or {}).get(name)) for name in self.by)

"""The importance of columns, by which the report sorts them: a shift of a column that the model hardly reads matters less."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = "permutation_importance.json"


@dataclass(frozen=True)
class ImportanceOfColumns:
    """How much worse `metric` of a version is on its test rows with the values of a column shuffled, in the unit of the metric."""

    metric: str
    values: Mapping[str, float]

    def share_of_largest(self, name: str) -> float:
        """0 for a column that the model does not need, 1 for the one that it needs most, and 1 for all where none is needed."""
        largest = max(self.values.values(), default=0.0)
        return max(self.values.get(name, 0.0), 0.0) / largest if largest > 0 else 1.0


def read_importance(folder: Path) -> ImportanceOfColumns | None:
    """What a version's training measured; None for a version of an earlier release, or a brought one."""
    try:
        document = json.loads((folder / FILE).read_bytes())
        values = {str(each["name"]): float(each["importance"]) for each in document["features"]}
        return ImportanceOfColumns(str(document["metric"]), values)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def rank_columns(
    columns: Iterable[Mapping[str, Any]], importances: Mapping[str, ImportanceOfColumns]
) -> list[dict[str, Any]]:
    """The report's columns with their importance, sorted by the size of their shift times it; `importances` are by version.

    The prediction counts as the most important column, and so does every column of a version whose importances are not known.
    """
    ranked = [_add_importance(column, importances.get(column["version"])) for column in columns]
    return sorted(ranked, key=lambda each: (-_rank(each), -(each["psi"] or 0.0), each["name"], each["version"]))


def _add_importance(column: Mapping[str, Any], known: ImportanceOfColumns | None) -> dict[str, Any]:
    if known is None or column["isPrediction"]:
        return dict(column)
    share = round(known.share_of_largest(column["name"]), 6)
    found = {"metric": known.metric, "value": known.values.get(column["name"]), "shareOfLargest": share}
    return {**column, "importance": found}


def _rank(column: Mapping[str, Any]) -> float:
    share = column["importance"]["shareOfLargest"] if "importance" in column else 1.0
    return float(share) * float(column["psi"] or 0.0)

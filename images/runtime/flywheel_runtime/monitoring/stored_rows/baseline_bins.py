"""The bins of a version's baseline.json, in which stored rows are counted as a server of ours counts requests."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flywheel_runtime.monitoring.documents import ROWS_BASELINE, Series
from flywheel_runtime.monitoring.logged_rows import RowBins
from flywheel_runtime.monitoring.reference import Reference, parse_reference


@dataclass(frozen=True)
class BaselineBins:
    """The bins, and the reference in them. `missing` are columns of the baseline that the rows do not have, so that they are not compared."""

    bins: RowBins
    reference: Reference
    missing: tuple[str, ...]

    @property
    def series(self) -> Series:
        """What rows in these bins are counted as."""
        return self.reference.series


def read_baseline_document(path: Path) -> Mapping[str, Any] | None:
    """The object in baseline.json; None if there is none that can be read."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("features"), dict) else None


def find_baseline_bins(
    document: Mapping[str, Any],
    version: str,
    digest: str,
    columns: Collection[str] | None = None,
    *,
    has_score: bool = True,
) -> BaselineBins | None:
    """The bins of the columns that the rows have (None: of all) and, with `has_score`, of the predictions; None without usable counts.

    Other columns are other bins, and so a series of their own.
    """
    try:
        features = {name: each for name, each in document["features"].items() if columns is None or name in columns}
        edges = {name: _floats(each["edges"]) for name, each in features.items() if "edges" in each}
        categories = {name: _texts(each["categories"]) for name, each in features.items() if "categories" in each}
        prediction = _floats((document.get("predictions") or {}).get("edges", ())) if has_score else ()
        bins = RowBins(edges, categories, prediction if len(prediction) > 1 else (), {})
        content = json.dumps([document["features"], bins.to_json()], sort_keys=True)
        identifier = f"{ROWS_BASELINE}:{hashlib.sha256(content.encode()).hexdigest()[:16]}"
        reference = parse_reference(document, Series(version, digest, identifier), bins.layout)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    missing = [name for name in document["features"] if name not in features]
    return BaselineBins(bins, reference, tuple(missing))


def _floats(values: Collection[Any]) -> tuple[float, ...]:
    return tuple(float(each) for each in values)


def _texts(values: Collection[Any]) -> tuple[str, ...]:
    return tuple(str(each) for each in values)

"""Which trials' models are uploaded to the store: those that are among the best when they end.

Nothing is deleted, since artifacts share their files with others. Of n trials about k·(1 + ln(n / k)) leave a model.
"""

from collections.abc import Iterable
from typing import Any

from flywheel.kinds.experiment.schema.status import TrialRecord
from flywheel.kinds.experiment.search.defaults import Setup


def upload_threshold(records: Iterable[TrialRecord], keep: int | None, setup: Setup) -> dict[str, Any] | None:
    """What a trial's metric must reach for its model to be uploaded, as collect reads it (images/README.md); None: all are uploaded."""
    if keep is None:
        return None
    values = [float(each.value) for each in records if each.state == "Succeeded" and each.value and each.over is None]
    best = sorted(values, reverse=setup.maximize)[:keep]
    return {"metric": setup.metric, "maximize": setup.maximize, "reach": best[-1]} if len(best) == keep else None

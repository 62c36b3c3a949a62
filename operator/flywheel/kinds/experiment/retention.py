"""Which trials' models are kept in the store: those that were among the best when they ended.

Nothing is deleted, since artifacts share their files with others: what will not be kept is not uploaded. Of n trials about k·(1 + ln(n / k)) leave a model.
"""

from collections.abc import Iterable
from typing import Any

from flywheel.kinds.experiment.schema.status import Record
from flywheel.kinds.experiment.search.defaults import Setup


def bar(records: Iterable[Record], keep: int | None, setup: Setup) -> dict[str, Any] | None:
    """As collect reads it (images/README.md): what a trial's metric must reach; None where everything is kept."""
    if keep is None:
        return None
    found = [float(each.value) for each in records if each.state == "Succeeded" and each.value and each.over is None]
    best = sorted(found, reverse=setup.maximize)[:keep]
    return {"metric": setup.metric, "maximize": setup.maximize, "reach": best[-1]} if len(best) == keep else None

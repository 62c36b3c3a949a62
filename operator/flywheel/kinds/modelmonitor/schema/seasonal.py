"""The reference of a ModelMonitor that follows the season."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema


class MonitorReference(Schema):
    """What drift is measured from."""

    seasonal: Literal["HourOfWeek"] = Field(
        description="HourOfWeek: each hour of the week (UTC) has a reference of its own, which is learnt from the first four weeks of a version. "
        "Drift of a version is Unknown until then."
    )

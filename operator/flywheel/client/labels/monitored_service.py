"""The rows of a service whose labels a ModelMonitor joins."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flywheel.client.errors import FlywheelError
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.values import Duration, format_time

DEFAULT_PERIOD = timedelta(hours=24)
SETTLING = timedelta(seconds=75)  # until a row is in the store
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class MonitoredService:
    """What a ModelMonitor says of the rows whose labels it joins."""

    name: str
    uid: str
    service: str
    window: timedelta
    max_delay: timedelta
    metric: str | None
    min_rows: int
    dataset: str | None
    is_labelled: bool
    by: tuple[str, ...]

    @classmethod
    def from_manifest(cls, monitor: Manifest) -> "MonitoredService":
        """Reads the manifest.

        Raises:
            FlywheelError: it monitors something else than an InferenceService.
        """
        spec, name = monitor["spec"], str(monitor["metadata"]["name"])
        if "inferenceService" not in spec:
            raise FlywheelError(
                f"ModelMonitor '{name}' monitors no InferenceService, whose logged rows could be labelled; name one that does",
                reason="NoService",
            )
        truth = spec.get("groundTruth")
        delay = ((truth or {}).get("delay") or {}).get("max", "3d")
        return cls(
            name,
            str(monitor["metadata"].get("uid", "")),
            str(spec["inferenceService"]),
            Duration(spec.get("window", "1h")).timedelta,
            Duration(delay).timedelta,
            (spec.get("performance") or {}).get("metric"),
            int(spec.get("minRows", 300)),
            (truth or {}).get("dataset"),
            truth is not None,
            tuple((spec.get("fairness") or {}).get("by") or ()),
        )

    def period(self, since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
        """Returns whole windows: a draw from a part of a window would say nothing of its other rows.

        The default is the last 24 hours, or the last window if that is longer.

        Raises:
            FlywheelError: no window ends in the period.
        """
        end = self._floor(min(until or now, now - SETTLING))
        start = self._floor(since) if since is not None else end - max(DEFAULT_PERIOD, self.window)
        if start >= end:
            raise FlywheelError(
                f"no window of {self.window} ends between {format_time(start)} and {format_time(end)}; choose an earlier --since, or a later --until",
                reason="NoWindow",
            )
        return start, end

    def _floor(self, moment: datetime) -> datetime:
        return moment - (moment - EPOCH) % self.window

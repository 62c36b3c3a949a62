"""Events (events.k8s.io/v1) about resources. Repeated ones are counted, floods are dropped, and a failure to write one stops nothing."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flywheel.cluster.apply import Writer
from flywheel.cluster.errors import ApiError
from flywheel.core.resource import names
from flywheel.core.resource.api import EVENT
from flywheel.core.resource.kind import AnyResource
from flywheel.core.resource.plan import Event

logger = logging.getLogger(__name__)

CONTROLLER = "flywheel.ml/operator"
MANAGER = "flywheel-events"
MAX_NOTE_LENGTH = 1024  # set by events.k8s.io/v1
SERIES_SECONDS = 600.0  # without a repetition in this time, the next one starts a new series
BURST_EVENTS = 25  # for each object
REFILL_SECONDS = 300.0  # after the burst, one event in this time
MAX_ENTRIES = 4096  # series and buckets


@dataclass
class _Series:
    manifest: dict[str, Any]
    count: int
    last: float


@dataclass
class _TokenBucket:
    tokens: float
    updated: float


class EventRecorder:
    """Records events, from any thread. An event that cannot be written is dropped: conditions hold the state, events are a log."""

    def __init__(self, writer: Writer, instance: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._instance = instance
        self._clock = clock
        self._lock = threading.Lock()
        self._series: OrderedDict[str, _Series] = OrderedDict()
        self._buckets: OrderedDict[str, _TokenBucket] = OrderedDict()

    def record(self, resource: AnyResource, event: Event, now: datetime) -> None:
        """Writes the event, or counts it as a repetition of an earlier one.

        Raises:
            NotLeading: the write was held back.
        """
        manifest = self._next_manifest(resource, event, now)
        if manifest is None:
            return
        try:
            self._writer.apply_event(EVENT, manifest, MANAGER)
        except ApiError as error:
            logger.warning("%s: event %s could not be written: %s", resource.reference, event.reason, error)

    def _next_manifest(self, resource: AnyResource, event: Event, now: datetime) -> dict[str, Any] | None:
        key = names.digest([resource.uid, event.type, event.reason, event.message])
        with self._lock:
            time_ = self._clock()
            series = self._series.get(key)
            if not self._take_token(resource.uid, time_):
                return None
            if series is None or time_ - series.last > SERIES_SECONDS:
                series = _Series(self._manifest(resource, event, key, now), 0, time_)
            series.count += 1
            series.last = time_
            self._series[key] = series
            _touch(self._series, key)
            if series.count == 1:
                return series.manifest
            return {**series.manifest, "series": {"count": series.count, "lastObservedTime": _micro_time(now)}}

    def _take_token(self, uid: str, time_: float) -> bool:
        bucket = self._buckets.setdefault(uid, _TokenBucket(BURST_EVENTS, time_))
        bucket.tokens = min(BURST_EVENTS, bucket.tokens + (time_ - bucket.updated) / REFILL_SECONDS)
        bucket.updated = time_
        _touch(self._buckets, uid)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _manifest(self, resource: AnyResource, event: Event, key: str, now: datetime) -> dict[str, Any]:
        # The time is in the name, since an event's text and time cannot change later.
        suffix = names.digest([key, now.isoformat()])[:16]
        return EVENT.manifest(
            f"{names.truncate(resource.name, 200)}.{suffix}",
            metadata={"namespace": resource.namespace},
            eventTime=_micro_time(now),
            reportingController=CONTROLLER,
            reportingInstance=names.truncate(self._instance, 128),
            action=event.action,
            reason=event.reason,
            type=event.type,
            note=event.message[:MAX_NOTE_LENGTH],
            regarding={**names.object_reference(resource), "namespace": resource.namespace},
        )


def _touch(entries: OrderedDict[str, Any], key: str) -> None:
    """Marks an entry as used last, and evicts the one that was not used for longest."""
    entries.move_to_end(key)
    if len(entries) > MAX_ENTRIES:
        entries.popitem(last=False)


def _micro_time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

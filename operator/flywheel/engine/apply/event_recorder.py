"""Events (events.k8s.io/v1) about our resources: repeated ones are counted, floods are dropped, failures cost nothing."""

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
SERIES_SECONDS = 600.0  # seconds without a repetition after which it is a new story
BURST_EVENTS, REFILL_SECONDS = 25, 300.0  # events for each object; then one every so many seconds
MAX_ENTRIES = 4096  # stories and buckets


@dataclass
class _Story:
    manifest: dict[str, Any]
    count: int
    last: float


@dataclass
class _Bucket:
    tokens: float
    at: float


class EventRecorder:
    """Called from worker threads. What cannot be told is dropped: events are for people, conditions for machines."""

    def __init__(self, writer: Writer, instance: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._instance = instance
        self._clock = clock
        self._lock = threading.Lock()
        self._stories: OrderedDict[str, _Story] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def tell(self, resource: AnyResource, event: Event, now: datetime) -> None:
        """Tell it, or count it as a repetition.

        Raises:
            NotLeading: it was held back.
        """
        manifest = self._next(resource, event, now)
        if manifest is None:
            return
        try:
            self._writer.event(EVENT, manifest, MANAGER)
        except ApiError as error:
            logger.warning("%s: event %s could not be told: %s", resource.reference, event.reason, error)

    def _next(self, resource: AnyResource, event: Event, now: datetime) -> dict[str, Any] | None:
        key = names.digest([resource.uid, event.type, event.reason, event.message])
        with self._lock:
            at = self._clock()
            story = self._stories.get(key)
            if not self._affordable(resource.uid, at):
                return None
            if story is None or at - story.last > SERIES_SECONDS:
                story = _Story(self._manifest(resource, event, key, now), 0, at)
            story.count += 1
            story.last = at
            self._stories[key] = story
            self._stories.move_to_end(key)
            if len(self._stories) > MAX_ENTRIES:
                self._stories.popitem(last=False)
            if story.count == 1:
                return story.manifest
            series = {"count": story.count, "lastObservedTime": _micro(now)}
            return {**story.manifest, "series": series}

    def _affordable(self, uid: str, at: float) -> bool:
        bucket = self._buckets.setdefault(uid, _Bucket(BURST_EVENTS, at))
        bucket.tokens = min(BURST_EVENTS, bucket.tokens + (at - bucket.at) / REFILL_SECONDS)
        bucket.at = at
        self._buckets.move_to_end(uid)
        if len(self._buckets) > MAX_ENTRIES:
            self._buckets.popitem(last=False)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _manifest(self, resource: AnyResource, event: Event, key: str, now: datetime) -> dict[str, Any]:
        # The time is in the name, since an event's text and time cannot change later.
        suffix = names.digest([key, now.isoformat()])[:16]
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": f"{names.truncate(resource.name, 200)}.{suffix}", "namespace": resource.namespace},
            "eventTime": _micro(now),
            "reportingController": CONTROLLER,
            "reportingInstance": names.truncate(self._instance, 128),
            "action": event.action,
            "reason": event.reason,
            "type": event.type,
            "note": event.message[:MAX_NOTE_LENGTH],
            "regarding": {
                "apiVersion": resource.api.api_version,
                "kind": resource.api.kind,
                "name": resource.name,
                "namespace": resource.namespace,
                "uid": resource.uid,
            },
        }


def _micro(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

"""Leader election: the holder of a Lease may write, and only while its last renewal is recent by this machine's own monotonic clock.

    follower ── the Lease is free, or not renewed for 15 s ──> leader ── renewal fails for 10 s ──> lost (the process ends)
                                                             └── release() ──> follower, and the Lease has no holder

The Lease has its own thread and connection, so that a busy event loop cannot lose it. Durations are client-go's: 15, 10 and 2 s.
A process that was paused finds its last renewal too old before it writes (fencing): `may_write` is called before each write.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import LEASE, Reference

LEASE_SECONDS, RENEW_DEADLINE_SECONDS, RETRY_SECONDS = 15, 10.0, 2.0
FOLLOWER_RETRY_SECONDS = 1.0  # a released Lease is acquired within this
FENCE_SECONDS = 10.0
JOIN_TIMEOUT_SECONDS = 5.0


def boot_time() -> float:
    """Returns seconds that also count while the machine sleeps, unlike the monotonic clock's."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


logger = logging.getLogger(__name__)


class Leader:
    """Acquires and renews the Lease until `release`. `on_elected` and `on_lost` are called in this object's thread."""

    def __init__(
        self,
        client: Client,
        lease: Reference,
        identity: str,
        on_elected: Callable[[], None],
        on_lost: Callable[[], None],
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self._client = client
        self._lease = lease
        self._identity = identity
        self._on_elected = on_elected
        self._on_lost = on_lost
        self._clock = clock
        self._renewed: float | None = None  # when our last successful renewal was *sent*
        # The resourceVersion of another holder's Lease, and when it was first seen.
        self._observed: tuple[str, float] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leader", daemon=True)

    @property
    def leading(self) -> bool:
        """Whether this process held the Lease at the last attempt."""
        return self._renewed is not None

    def may_write(self) -> bool:
        """Returns whether the Lease was renewed less than 10 s ago; another process can acquire it after 15 s at the earliest."""
        renewed = self._renewed
        return renewed is not None and self._clock() - renewed < FENCE_SECONDS

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def release(self) -> None:
        """Stops the thread and releases a held Lease, so that the next leader need not wait for its end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_TIMEOUT_SECONDS)
        if self._renewed is None:
            return
        self._renewed = None
        try:
            live = self._client.get(self._lease)
            if live is not None and _holder(live) == self._identity:
                self._client.replace(
                    LEASE, {**live, "spec": {**live["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}
                )
                logger.info("lease released")
        except ApiError as error:
            logger.warning("the lease could not be released (%s); the next leader waits %d s", error, LEASE_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set() and self.try_acquire_or_renew():
            self._stop.wait(RETRY_SECONDS if self.leading else FOLLOWER_RETRY_SECONDS)

    def try_acquire_or_renew(self) -> bool:
        """Acquires, renews or loses the Lease. Returns False if it was lost, after which the thread ends."""
        was_leading = self.leading
        try:
            self._update_lease()
        except ApiError as error:
            logger.warning("%s: %s", self._lease, error)
        except Exception:
            logger.exception("%s: could not be renewed", self._lease)
        if self._renewed is not None and self._clock() - self._renewed > RENEW_DEADLINE_SECONDS:
            self._renewed = None
        if self.leading and not was_leading:
            logger.info("leading as %s", self._identity)
            self._on_elected()
        if was_leading and not self.leading:
            logger.error("the lease is lost; ending")
            self._on_lost()
            return False
        return True

    def _update_lease(self) -> None:
        live = self._client.get(self._lease)
        sent = self._clock()
        if live is None:
            self._client.create(LEASE, self._manifest({}, {}))
            self._renewed = sent
            return
        if _holder(live) not in ("", self._identity) and not self._is_expired(live):
            if self.leading:
                self._renewed = None  # another process acquired it while this one slept
            return
        try:
            self._client.replace(LEASE, self._manifest(live["metadata"], live.get("spec") or {}))
        except ApiError as error:
            if error.conflict:
                return  # another process was faster
            raise
        self._renewed = sent

    def _is_expired(self, live: Mapping[str, Any]) -> bool:
        """Returns whether the holder has not renewed for the Lease's duration since this state was first seen, by this machine's clock."""
        version = str(live["metadata"]["resourceVersion"])
        if self._observed is None or self._observed[0] != version:
            self._observed = (version, self._clock())
        seconds = float((live.get("spec") or {}).get("leaseDurationSeconds") or LEASE_SECONDS)
        return self._clock() - self._observed[1] > seconds

    def _manifest(self, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = _holder({"spec": spec}) == self._identity
        renewed = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": spec.get("acquireTime") if ours and spec.get("acquireTime") else now,
            "renewTime": now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if ours else 1),
        }
        return LEASE.manifest(self._lease.name, metadata={**metadata, "namespace": self._lease.namespace}, spec=renewed)


def _holder(lease: Mapping[str, Any]) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")

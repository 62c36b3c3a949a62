"""Who may write: the holder of a Lease, and only while its last renewal is fresh by this machine's own monotonic clock.

    follower ── the Lease is free, or its holder silent for 15 s ──> leader ── renewal fails for 10 s ──> lost (the process ends)
                                                                        └── release() ──> follower, and the Lease names nobody

The Lease has a thread and a connection of its own, so that no busy loop can lose it. Durations are client-go's: 15, 10 and 2 s.
A process that was paused and wakes up finds its last renewal too old before it can write (fencing): `may_write` is asked before each write.
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
FOLLOWER_RETRY_SECONDS = 1.0  # a released Lease is found within this
FENCE_SECONDS = 10.0


def boot_time() -> float:
    """Seconds that also count while the machine sleeps, unlike the monotonic clock's."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


_log = logging.getLogger(__name__)


class Leader:
    """Tries for the Lease until stopped. `elected` and `lost` are called in this object's thread."""

    def __init__(
        self,
        client: Client,
        lease: Reference,
        identity: str,
        elected: Callable[[], None],
        lost: Callable[[], None],
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self._client = client
        self._lease = lease
        self._identity = identity
        self._elected = elected
        self._lost = lost
        self._clock = clock
        self._renewed: float | None = None  # when our last successful renewal was *sent*
        self._seen: tuple[str, float] | None = None  # another holder's resourceVersion, and since when we know it
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leader", daemon=True)

    @property
    def leading(self) -> bool:
        """Whether the Lease was ours at the last look."""
        return self._renewed is not None

    def may_write(self) -> bool:
        """Whether the Lease was renewed less than 10 s ago; nobody else can have it before 15 s are over."""
        renewed = self._renewed
        return renewed is not None and self._clock() - renewed < FENCE_SECONDS

    def start(self) -> None:
        """Begin to try."""
        self._thread.start()

    def release(self) -> None:
        """Stop trying; if the Lease is ours, say that it is nobody's, so that the next one need not wait."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)
        if self._renewed is None:
            return
        self._renewed = None
        try:
            live = self._client.get(self._lease)
            if live is not None and _holder(live) == self._identity:
                self._client.replace(
                    LEASE, {**live, "spec": {**live["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}
                )
                _log.info("lease released")
        except ApiError as error:
            _log.warning("the lease could not be released (%s); the next leader waits %d s", error, LEASE_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set() and self.look():
            self._stop.wait(RETRY_SECONDS if self.leading else FOLLOWER_RETRY_SECONDS)

    def look(self) -> bool:
        """One look at the Lease: take, renew or lose it. False when it was lost, which is the end."""
        was_leading = self.leading
        try:
            self._try()
        except ApiError as error:
            _log.warning("%s: %s", self._lease, error)
        except Exception:  # noqa: BLE001 - a fault of ours must not leave a leader that never renews
            _log.exception("%s: could not be renewed", self._lease)
        if self._renewed is not None and self._clock() - self._renewed > RENEW_DEADLINE_SECONDS:
            self._renewed = None
        if self.leading and not was_leading:
            _log.info("leading as %s", self._identity)
            self._elected()
        if was_leading and not self.leading:
            _log.error("the lease is lost; ending")
            self._lost()
            return False
        return True

    def _try(self) -> None:
        live = self._client.get(self._lease)
        sent = self._clock()
        if live is None:
            self._client.create(LEASE, self._manifest({}, {}))
            self._renewed = sent
            return
        if _holder(live) not in ("", self._identity) and not self._silent(live):
            if self.leading:
                self._renewed = None  # somebody else took it while we slept
            return
        try:
            self._client.replace(LEASE, self._manifest(live["metadata"], live.get("spec") or {}))
        except ApiError as error:
            if error.conflict:
                return  # somebody was faster; look again
            raise
        self._renewed = sent

    def _silent(self, live: Mapping[str, Any]) -> bool:
        """Whether the holder renewed nothing for the Lease's length since we first saw this state, by our own clock."""
        version = str(live["metadata"]["resourceVersion"])
        if self._seen is None or self._seen[0] != version:
            self._seen = (version, self._clock())
        seconds = float((live.get("spec") or {}).get("leaseDurationSeconds") or LEASE_SECONDS)
        return self._clock() - self._seen[1] > seconds

    def _manifest(self, metadata: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = _holder({"spec": spec}) == self._identity
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {**metadata, "name": self._lease.name, "namespace": self._lease.namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": LEASE_SECONDS,
                "acquireTime": spec.get("acquireTime") if ours and spec.get("acquireTime") else now,
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if ours else 1),
            },
        }


def _holder(lease: Mapping[str, Any]) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "")

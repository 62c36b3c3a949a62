"""What a watch said, and when it said it."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from e2e.bench.operator.api import Object, Server
from e2e.cluster import cluster
from flywheel.core.resource.api import Api

PATIENCE = 120.0  # seconds
OPENED = 1.0  # seconds after which the watch hears what happens; a later event would be heard late


class WatchLog:
    """All objects of a type in a namespace of the development cluster, with the time of each state; in a `with`."""

    def __init__(self, api: Api, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        self._heard: list[tuple[float, Object]] = []
        self._news = threading.Condition()
        self._over = False

    def __enter__(self) -> "WatchLog":
        threading.Thread(target=self._listen, name=f"hear-{self._api.plural}", daemon=True).start()
        time.sleep(OPENED)
        return self

    def __exit__(self, *_error: object) -> None:
        self._over = True  # the thread ends with its next event, or with the process

    def first(self, name: str, holds: Callable[[Object], bool], after: float = 0.0) -> float:
        """When an object was first heard of in such a state, as Unix time; waits for it.

        Raises:
            TimeoutError: it was not.
        """

        def found() -> float | None:
            return next(
                (at for at, thing in self._heard if thing["metadata"]["name"] == name and at >= after and holds(thing)),
                None,
            )

        with self._news:
            at = self._news.wait_for(found, PATIENCE)
        if at is None:
            raise TimeoutError(f"{self._api.plural} '{name}' was not heard of in that state within {PATIENCE:.0f} s")
        return at

    def _listen(self) -> None:
        server = Server(cluster.chosen().kubeconfig)
        with suppress(OSError):
            for event, thing in server.watch(self._api, namespace=self._namespace):
                if self._over:
                    return
                if event != "DELETED":
                    with self._news:
                        self._heard.append((time.time(), thing))
                        self._news.notify_all()

"""Follows route.json, and gives the data plane the route that it describes."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from flywheel_serving.infer.local_model import LocalModel
from flywheel_serving.route.canary import ABTest, Canary
from flywheel_serving.route.metrics import ChallengerCounts, RouteMetrics
from flywheel_serving.route.route_file import Route, RouteFile, RouteInvalid
from flywheel_serving.route.shadow import Shadow
from flywheel_serving.route.top_differences import Example
from flywheel_serving.route.upstream import Upstream

ROUTES: dict[str, type[Canary | Shadow]] = {"Canary": Canary, "Shadow": Shadow, "ABTest": ABTest}
POLL_SECONDS = 0.25  # each poll is one call of stat

log = logging.getLogger(__name__)


class Router:
    """`activate` gets what takes the requests from now on, or None while the local model answers all."""

    def __init__(
        self, local_model: LocalModel, max_body_bytes: int, activate: Callable[[Canary | Shadow | None], None]
    ) -> None:
        self._local_model = local_model
        self._max_body_bytes = max_body_bytes
        self._activate = activate
        self.metrics = RouteMetrics(local_model.name)
        self._active: Canary | Shadow | None = None
        self._upstream: Upstream | None = None
        self._file: RouteFile
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, path: Path) -> None:
        """Follows the file at `path` until `close`."""
        self._file = RouteFile(path)
        self._poll()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.apply(None)

    def examples(self) -> list[Example]:
        """The requests on which the last challenger differed most."""
        return self.metrics.counts.top_differences.examples() if self.metrics.counts else []

    def _poll(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(POLL_SECONDS, self._poll)
        if not self._file.has_changed():
            return
        try:
            route = self._file.read()
        except RouteInvalid as error:
            self.metrics.is_invalid = True
            log.warning("route.json: %s; the previous route stays in force until it is corrected", error)
            return
        self.metrics.is_invalid = False
        self.apply(route)

    def apply(self, route: Route | None) -> None:
        """Sends requests as `route` says from now on; those in flight end as they began."""
        version = self._local_model.version
        if self._active is not None:
            self._active.close()
        if route is not None and route.challenger.version == version:
            log.info("the route's challenger %s is this server: it answers alone", version)
            route = None
        if route is None:
            self._deactivate()
            return
        upstream = self._upstream_of(route)
        self.metrics.share_hundredths = route.share_hundredths
        self._active = ROUTES[route.mode](self._local_model, route, upstream)
        self._activate(self._active)
        log.info("%s: %g %% of the requests to %s", route.mode, route.share_hundredths / 100, upstream)

    def _deactivate(self) -> None:
        self._active = None
        self._activate(None)
        self.metrics.share_hundredths = 0
        if self._upstream is not None:
            log.info("no route: version %s answers alone", self._local_model.version)
            self._upstream.close()
            self._upstream = None

    def _upstream_of(self, route: Route) -> Upstream:
        """The current upstream if the challenger is the same: it has connections and knows whether they work."""
        if self._upstream is not None and self._upstream.challenger == route.challenger:
            return self._upstream
        if self._upstream is not None:
            self._upstream.close()
        counts = self.metrics.counts
        if counts is None or counts.challenger != route.challenger.version:
            counts = self.metrics.counts = ChallengerCounts(route.challenger.version)
        self._upstream = Upstream(self._local_model, route.challenger, self._max_body_bytes, counts)
        return self._upstream

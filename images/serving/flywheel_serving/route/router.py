"""Keeps the route as route.json says, and gives each request to it."""

import asyncio
import logging
from pathlib import Path

from flywheel_serving.route.canary import Canary
from flywheel_serving.route.champion import Champion
from flywheel_serving.route.file import Route, RouteFile, RouteInvalid
from flywheel_serving.route.link import Link
from flywheel_serving.route.metrics import Counts, RouteMetrics
from flywheel_serving.route.shadow import Shadow
from flywheel_serving.route.worst import Example

LOOK_SECONDS = 0.25  # one call of stat

log = logging.getLogger(__name__)


class Router:
    """`active` takes the requests while there is a route; None while the champion answers alone."""

    def __init__(self, champion: Champion) -> None:
        self.champion = champion
        self.metrics = RouteMetrics(champion.name)
        self.active: Canary | Shadow | None = None
        self._link: Link | None = None
        self._file: RouteFile
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, path: Path) -> None:
        """Follows the file at `path` from now on, until `close`."""
        self._file = RouteFile(path)
        self._look()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.apply(None)

    def examples(self) -> list[Example]:
        """The requests on which the last challenger disagreed most."""
        return self.metrics.counts.worst.examples() if self.metrics.counts else []

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
        if not self._file.changed():
            return
        try:
            route = self._file.read()
        except RouteInvalid as error:
            self.metrics.invalid = True
            log.warning("route.json: %s; what it said before stays in force until it is corrected", error)
            return
        self.metrics.invalid = False
        self.apply(route)

    def apply(self, route: Route | None) -> None:
        """From now on requests go as `route` says; those under way end as they began."""
        champion = self.champion
        if self.active is not None:
            self.active.close()
        if route is not None and route.challenger.version == champion.version:
            log.info("the route's challenger %s is this server: it answers alone", champion.version)
            route = None
        if route is None:
            self._alone()
            return
        link = self._linked(route)
        self.metrics.hundredths = route.hundredths
        self.active = (Canary if route.mode == "Canary" else Shadow)(champion, route, link)
        log.info("%s: %g %% of the requests to %s", route.mode, route.hundredths / 100, link)

    def _alone(self) -> None:
        self.active = None
        self.metrics.hundredths = 0
        if self._link is not None:
            log.info("no route: version %s answers alone", self.champion.version)
            self._link.close()
            self._link = None

    def _linked(self, route: Route) -> Link:
        """The one that is there if the challenger is the same: it has the connections and knows whether they work."""
        if self._link is not None and self._link.challenger == route.challenger:
            return self._link
        if self._link is not None:
            self._link.close()
        counts = self.metrics.counts
        if counts is None or counts.challenger != route.challenger.version:
            counts = self.metrics.counts = Counts(route.challenger.version)
        self._link = Link(self.champion.name, route.challenger, self.champion.body_bytes, counts)
        return self._link

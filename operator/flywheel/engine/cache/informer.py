"""A read-only informer by kopf: it lists and watches, and passes each object to the store. This module alone imports kopf.

It uses `on.event` alone: kopf's other handlers are not level-triggered, and write annotations and finalizers. It does not use
`@kopf.index`, whose start-up is quadratic in the number of objects (measured).
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import kopf

from flywheel.cluster.credentials import Credentials
from flywheel.core.resource.api import Api
from flywheel.core.resource.names import MANAGED_BY
from flywheel.engine.cache.store import Store

MANAGED_SELECTOR = f"{MANAGED_BY}=flywheel"


class WatchFailed(Exception):
    """A watch ended for good. The process must end too, since its cache would become stale."""


class _NoDiffs(kopf.DiffBaseStorage):
    """Disables kopf's comparison of each object with an annotation of its own, which copies the object."""

    def build(self, *, body: Any, extra_fields: Any = None, ignored_fields: Any = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: Any) -> None:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        return None


def _settings(children: Sequence[Api]) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.persistence.finalizer = "flywheel.ml/unused"
    settings.persistence.diffbase_storage = _NoDiffs()
    settings.watching.server_timeout, settings.watching.client_timeout = 290, 300
    settings.watching.inactivity_timeout = 70
    settings.watching.reconnect_backoff = 1.0
    # A parsed object has ten times its size, and kopf holds it until its worker has been idle for so long. Measured with 1,000 resources:
    # 225 MiB with chunks of 500 and 1.0 s, 133 MiB with these.
    settings.watching.chunk_size = 50
    for api in children:
        settings.watching.label_selectors[api.group, api.version, api.plural] = MANAGED_SELECTOR
    settings.networking.request_timeout, settings.networking.connect_timeout = 30, 5
    settings.queueing.idle_timeout = 0.1
    settings.queueing.exit_timeout = 0.5
    settings.process.ultimate_exiting_timeout = None
    return settings


def _registry(apis: Sequence[Api], store: Store, credentials: Callable[[], Credentials]) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**_more: Any) -> kopf.ConnectionInfo:
        """Returns the credentials. kopf calls it again after each 401, and so after the token was rotated."""
        return kopf.ConnectionInfo(**vars(credentials()))

    for api in apis:
        _handler(registry, api, store)
    return registry


def _handler(registry: kopf.OperatorRegistry, api: Api, store: Store) -> None:
    @kopf.on.event(api.group, api.version, api.plural, registry=registry, id=f"store-{api.plural}")
    async def update_store(event: Any, **_more: Any) -> None:
        # The raw object, not `body`, which is a view that copies.
        if event["type"] == "DELETED":
            store.delete_watched(api, event["object"])
        else:
            store.update_watched(api, event["object"])


async def watch(
    kinds: Sequence[Api],
    children: Sequence[Api],
    store: Store,
    credentials: Callable[[], Credentials],
    namespaces: Sequence[str],
    started: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    """Lists and watches until `stop` is set; all namespaces if none is given. Children are watched only if they have Flywheel's label.

    `started` is set once kopf has installed its signal handlers, which the caller may replace.

    Raises:
        WatchFailed: a watch cannot go on (an error in the stream that is not 410, a login refused, …).
    """
    # kopf logs one line for each event of each object.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    try:
        await kopf.operator(
            registry=_registry([*kinds, *children], store, credentials),
            settings=_settings(children),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
            ready_flag=started,
            stop_flag=stop,
        )
    except Exception as error:
        raise WatchFailed(f"watching failed: {error}") from error
    if not stop.is_set():
        raise WatchFailed("watching ended by itself")

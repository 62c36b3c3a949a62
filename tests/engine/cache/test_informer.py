"""The watch when the API server misbehaves: a small server on loopback that breaks its streams as told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web

from e2e.waiting import wait_until
from flywheel.cluster.credentials import Credentials
from flywheel.core.resource.api import Reference
from flywheel.engine.cache import informer
from flywheel.engine.cache.informer import WatchFailed
from flywheel.engine.cache.store import Store
from tests.engine.widget import KIND, WIDGETS

GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
BROKEN = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "reason": "InternalError"}}
HANG_UP = {"type": "HANG_UP"}
PATIENCE = 20


def widget(name: str, version: int) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"apiVersion": WIDGETS.api_version, "kind": "Widget", "metadata": metadata, "spec": {}}


class Server:
    """Lists what is in `widgets`; streams what is put into `stream`."""

    def __init__(self) -> None:
        self.widgets: list[dict[str, Any]] = []
        self.stream: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.lists = 0
        self.watches = 0
        self.writes: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        resource = {"name": "widgets", "kind": "Widget", "singularName": "widget", "namespaced": True}
        fixed: dict[str, Any] = {
            "/api": {"versions": ["v1"]},
            "/api/v1": {
                "resources": [
                    {
                        "name": "namespaces",
                        "kind": "Namespace",
                        "singularName": "",
                        "namespaced": False,
                        "verbs": ["list", "watch"],
                    }
                ]
            },
            "/apis": {
                "groups": [
                    {
                        "name": "flywheel.ml",
                        "preferredVersion": {"version": "v1alpha1"},
                        "versions": [{"version": "v1alpha1"}],
                    }
                ]
            },
            "/apis/flywheel.ml/v1alpha1": {"resources": [{**resource, "verbs": ["get", "list", "watch", "patch"]}]},
        }
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.path}")
        if request.path in fixed:
            return web.json_response(fixed[request.path])
        if "watch" in request.query:
            return await self._watch(request)
        self.lists += 1
        return web.json_response({"kind": "WidgetList", "metadata": {"resourceVersion": "100"}, "items": self.widgets})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await self.stream.get()) != HANG_UP:
            await response.write(json.dumps(event).encode() + b"\n")
        return response


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[Server, Store, "asyncio.Task[None]"]]:
    server, store = Server(), Store((KIND,), lambda _keys: None)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    credentials = Credentials(f"http://{host}:{port}")
    stop = asyncio.Event()
    task = asyncio.create_task(informer.watch([WIDGETS], [], store, lambda: credentials, [], asyncio.Event(), stop))
    try:
        yield server, store, task
    finally:
        stop.set()
        for _watch in range(server.watches):
            server.stream.put_nowait(HANG_UP)
        await runner.cleanup()  # first: kopf waits 5 s for any task that began after it, and the server's did
        with suppress(WatchFailed):
            await task


def sees(store: Store, name: str) -> bool:
    return store.get(Reference(WIDGETS, "shop", name)) is not None


async def until(condition: Callable[[], bool]) -> None:
    """Wait in a thread, so that the informer's loop goes on."""
    await asyncio.to_thread(wait_until, condition, PATIENCE)


def story(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run it in a loop of its own."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), PATIENCE * 2))

    run.__name__ = test.__name__
    return run


@story
async def test_what_is_listed_and_what_is_streamed_is_seen() -> None:
    async with watched() as (server, store, _task):
        await until(lambda: server.watches == 1)
        server.stream.put_nowait({"type": "ADDED", "object": widget("late", 101)})
        await until(lambda: sees(store, "late"))

        server.stream.put_nowait({"type": "DELETED", "object": widget("late", 102)})
        await until(lambda: not sees(store, "late"))

        assert server.writes == []  # read-only: no annotation, no finalizer


@story
async def test_after_410_it_lists_anew() -> None:
    async with watched() as (server, store, _task):
        await until(lambda: server.watches == 1)
        server.widgets.append(widget("in-the-gap", 103))

        server.stream.put_nowait(GONE)

        await until(lambda: sees(store, "in-the-gap"))
        assert server.lists == 2


@story
async def test_after_a_disconnect_it_goes_on() -> None:
    async with watched() as (server, store, task):
        await until(lambda: server.watches == 1)

        server.stream.put_nowait(HANG_UP)
        await until(lambda: server.watches == 2)

        server.stream.put_nowait({"type": "ADDED", "object": widget("after", 104)})
        await until(lambda: sees(store, "after"))
        assert not task.done()


@pytest.mark.integration  # kopf waits for five seconds
@story
async def test_an_error_in_the_stream_is_never_silent() -> None:
    async with watched() as (server, _store, task):
        await until(lambda: server.watches == 1)

        server.stream.put_nowait(BROKEN)

        with pytest.raises(WatchFailed, match="500"):
            await task

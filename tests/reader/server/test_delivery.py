"""A request counts and its bytes are held until its caller has read them, or is too slow."""

import asyncio
from contextlib import ExitStack

import pytest
from starlette.responses import Response
from starlette.types import Message

from flywheel_reader.errors import Busy
from flywheel_reader.server import delivery
from flywheel_reader.server.delivery import (
    MAX_HELD_SHARE,
    MAX_REQUESTS,
    MAX_SHARE,
    PIECE_BYTES,
    RunningRequests,
    deliver,
)

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": []}


async def receive() -> Message:
    return {"type": "http.disconnect"}


def test_a_large_body_is_sent_in_pieces() -> None:
    content = bytes(range(256)) * 1024
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(deliver(Response(content), SCOPE, receive, send))

    pieces = sent[1:]
    assert b"".join(piece["body"] for piece in pieces) == content
    assert {len(piece["body"]) for piece in pieces} == {PIECE_BYTES}
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]


def test_a_caller_who_does_not_read_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(delivery, "MIN_BYTES_PER_SECOND", 1 << 30)
    sent: list[Message] = []

    async def send(message: Message) -> None:
        if len(sent) > 2:
            await asyncio.sleep(60)
        sent.append(message)

    asyncio.run(asyncio.wait_for(deliver(Response(b"x" * (1 << 20)), SCOPE, receive, send), 10))

    assert len(sent) == 3


def test_one_caller_and_one_namespace_take_a_share_of_the_requests() -> None:
    running = RunningRequests()
    with ExitStack() as counted:
        for number in range(MAX_SHARE):
            counted.enter_context(running.request("alice", f"shop-{number}"))
        with pytest.raises(Busy, match="of caller alice"):
            counted.enter_context(running.request("alice", "shop"))
        for number in range(MAX_REQUESTS - MAX_SHARE):
            counted.enter_context(running.request(f"user-{number}", "bakery"))
        with pytest.raises(Busy, match=f"{MAX_REQUESTS} requests already"):
            counted.enter_context(running.request("bob", "shop"))

    with ExitStack() as counted:
        for number in range(MAX_SHARE):
            counted.enter_context(running.request(f"user-{number}", "bakery"))
        with pytest.raises(Busy, match="of namespace bakery"):
            counted.enter_context(running.request("bob", "bakery"))
    assert (running.count, running._counts) == (0, {})


def test_unread_responses_of_one_caller_leave_memory_for_others() -> None:
    running = RunningRequests()
    with ExitStack() as held:
        held.enter_context(running.body("alice", MAX_HELD_SHARE))
        with pytest.raises(Busy):
            held.enter_context(running.body("alice", 1))
        held.enter_context(running.body("bob", MAX_HELD_SHARE))
        with pytest.raises(Busy):
            held.enter_context(running.body("carol", 1))

    assert (running.held_bytes, running._bytes) == (0, {})

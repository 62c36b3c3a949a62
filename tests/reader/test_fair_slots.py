"""Turns for heavy work: few at a time, one of each namespace, in turn among namespaces and callers."""

import asyncio

import pytest

from flywheel_reader import fair_slots
from flywheel_reader.errors import TooSlow
from flywheel_reader.fair_slots import FairSlots


async def _work(slots: FairSlots, done: list[str], namespace: str, caller: str) -> None:
    async with slots.turn(namespace, caller):
        done.append(f"{namespace}/{caller}")
        await asyncio.sleep(0)


def _run(max_slots: int, *wanted: tuple[str, str]) -> list[str]:
    done: list[str] = []

    async def run() -> None:
        slots = FairSlots(max_slots)
        await asyncio.gather(*(_work(slots, done, *each) for each in wanted))
        assert (slots._free, slots._running, slots._waiting) == (max_slots, set(), [])

    asyncio.run(asyncio.wait_for(run(), 10))
    return done


def test_a_namespace_with_many_requests_delays_another_by_one() -> None:
    flood = [("shop", "alice")] * 10

    assert _run(1, *flood, ("bakery", "bob")).index("bakery/bob") == 1


def test_a_caller_with_many_requests_delays_another_of_the_namespace_by_one() -> None:
    flood = [("shop", "alice")] * 10

    assert _run(1, *flood, ("shop", "bob")).index("shop/bob") == 1


def test_one_namespace_leaves_a_slot_free() -> None:
    async def run() -> None:
        slots, done = FairSlots(2), list[str]()
        async with slots.turn("shop"):
            waiting = asyncio.create_task(_work(slots, done, "shop", "alice"))
            await _work(slots, done, "bakery", "bob")
            assert done == ["bakery/bob"]
        await waiting

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_caller_who_leaves_while_waiting_takes_no_turn() -> None:
    async def run() -> None:
        slots, done = FairSlots(1), list[str]()
        async with slots.turn("shop"):
            leaving = asyncio.create_task(_work(slots, done, "bakery", "bob"))
            await asyncio.sleep(0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        await _work(slots, done, "shop", "alice")
        assert done == ["shop/alice"]

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_turn_ends_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_slots, "MAX_SECONDS", 0.05)

    async def run() -> None:
        slots, done = FairSlots(1), list[str]()
        with pytest.raises(TooSlow, match="namespace 'shop'"):
            async with slots.turn("shop"):
                await asyncio.sleep(60)
        await _work(slots, done, "bakery", "bob")
        assert done

    asyncio.run(asyncio.wait_for(run(), 10))

"""Situations in which a rollout may be, and what is seen of it."""

import json
from datetime import timedelta
from typing import Any

from tests.kinds.inferenceservice.world import BAD, CANARY, World, service

JUST_OVER, SETTLED = timedelta(minutes=10, seconds=1), timedelta(seconds=11)


def serving(rollout: dict[str, Any] | None = CANARY, forgets: frozenset[int] = frozenset(), **spec: Any) -> World:
    """delay-1 answers."""
    world = World(service(rollout, **spec), forgets)
    world.look(2)
    return world


def challenged(rollout: dict[str, Any] | None = CANARY, **spec: Any) -> World:
    """delay-2 is offered, its servers answer, and the judge of step 1 runs."""
    world = serving(rollout, **spec)
    world.offers("delay-2")
    world.look(3)
    return world


def promoted() -> World:
    """delay-2 has passed every step, and delay-1 is kept warm."""
    world = challenged()
    for _ in range(2):
        world.judge_says("Pass")
        world.look(4)
    return world


def rolled_back() -> World:
    """delay-2 failed its first step."""
    world = challenged()
    world.judge_says("Breach", BAD)
    world.look(2)
    return world


def route(world: World, slot: str = "route") -> Any:
    """What servers are told."""
    return json.loads(world.child("ConfigMap", f"delay-{slot}")["data"]["route.json"])


def phase(world: World) -> str | None:
    status = world.service.status.rollout
    return status.phase if status else None

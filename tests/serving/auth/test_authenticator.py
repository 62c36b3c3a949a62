"""The authenticator asks once for a token, remembers for a while by a clock that nobody sets, and lets nobody in when in doubt."""

import asyncio
from dataclasses import dataclass, field

import pytest

from flywheel_serving.auth import authenticator as authentication
from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.auth.verdict import ALLOWED, Outcome, Verdict, forbidden, unauthenticated, unavailable
from flywheel_serving.auth.verdict_cache import VerdictCache

GOOD = b"Bearer good"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeReviewer:
    """Reviews by the token, as soon as `open` is set."""

    verdicts: dict[str, Verdict | Exception] = field(default_factory=dict)
    reviewed: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    token_hint: str = "send a token"

    async def start(self) -> None:
        pass

    async def review(self, token: str) -> Verdict:
        self.reviewed.append(token)
        await self.open.wait()
        found = self.verdicts.get(token, ALLOWED)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        pass


def build(**verdicts: Verdict | Exception) -> tuple[Authenticator, FakeReviewer, Clock]:
    clock = Clock()
    reviewer = FakeReviewer(dict(verdicts))
    reviewer.open.set()
    return Authenticator(reviewer, clock), reviewer, clock


@pytest.mark.parametrize(
    ("verdict", "seconds"),
    [
        pytest.param(ALLOWED, 60, id="allowed"),
        pytest.param(unauthenticated("no"), 10, id="unknown"),
        pytest.param(forbidden("no"), 10, id="forbidden"),
        pytest.param(unavailable("no"), 1, id="undecided"),
        pytest.param(Verdict(Outcome.ALLOWED, valid_seconds=7), 7, id="allowed by a token that ends soon"),
    ],
)
def test_a_verdict_is_kept_for_a_while(verdict: Verdict, seconds: float) -> None:
    async def story() -> list[int]:
        authenticator, reviewer, clock = build(good=verdict)
        reviewed = []
        for now in (0, seconds - 0.1, seconds + 0.1):
            clock.now = now
            assert await authenticator.verdict(GOOD) == verdict
            reviewed.append(len(reviewer.reviewed))
        return reviewed

    assert asyncio.run(story()) == [1, 1, 2]


def test_many_who_bring_one_token_wait_for_one_answer() -> None:
    async def story() -> tuple[list[Verdict], list[str]]:
        authenticator, reviewer, _ = build()
        reviewer.open.clear()
        waiting = [asyncio.ensure_future(authenticator.verdict(GOOD)) for _ in range(50)]
        await asyncio.sleep(0)
        reviewer.open.set()
        return await asyncio.gather(*waiting), reviewer.reviewed

    verdicts, reviewed = asyncio.run(story())

    assert (verdicts, reviewed) == ([ALLOWED] * 50, ["good"])


def test_who_does_not_wait_harms_nobody() -> None:
    async def story() -> Verdict:
        authenticator, reviewer, _ = build()
        reviewer.open.clear()
        gone, stays = (asyncio.ensure_future(authenticator.verdict(GOOD)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        reviewer.open.set()
        return await stays

    assert asyncio.run(story()) == ALLOWED


def test_questions_under_way_are_bounded() -> None:
    async def story() -> tuple[Outcome, int]:
        authenticator, reviewer, _ = build()
        reviewer.open.clear()
        waiting = [asyncio.ensure_future(authenticator.verdict(f"Bearer {number}".encode())) for number in range(300)]
        await asyncio.sleep(0)
        verdict = await authenticator.verdict(b"Bearer late")
        await asyncio.sleep(0)
        reviewed = len(reviewer.reviewed)
        reviewer.open.set()
        await asyncio.gather(*waiting)
        return verdict.outcome, reviewed

    assert asyncio.run(story()) == (Outcome.UNAVAILABLE, authentication.MAX_PENDING_REVIEWS)


def test_a_judge_that_does_not_answer_keeps_nobody_waiting_for_ever() -> None:
    async def story() -> Verdict:
        reviewer = FakeReviewer()
        return await Authenticator(reviewer, timeout_seconds=0.01).verdict(GOOD)

    verdict = asyncio.run(story())

    assert verdict.outcome is Outcome.UNAVAILABLE
    assert "was not reviewed within 0.01 seconds" in verdict.message


def test_a_judge_that_fails_lets_nobody_in() -> None:
    authenticator, _, _ = build(good=ZeroDivisionError("bug"))

    async def story() -> Verdict:
        return await authenticator.verdict(GOOD)

    assert asyncio.run(story()).outcome is Outcome.UNAVAILABLE


@pytest.mark.parametrize(
    "authorization",
    [b"", b"Bearer", b"Bearer ", b"Basic Z29vZA==", b"Bearer a b", b"Bearer a, Bearer b", b"Bearer \xff", b"Bearer good\n", b"Bearer " + b"a" * 20_000],
)  # fmt: skip
def test_what_is_no_bearer_token_is_not_judged(authorization: bytes) -> None:
    authenticator, reviewer, _ = build()

    verdict = authenticator.cached_verdict(authorization)

    assert verdict is not None
    assert (verdict.outcome, reviewer.reviewed) == (Outcome.UNAUTHENTICATED, [])


def test_made_up_tokens_push_no_allowed_one_out() -> None:
    async def story() -> list[str]:
        authenticator, reviewer, _ = build(**{f"t{number}": unauthenticated("no") for number in range(6000)})
        await authenticator.verdict(GOOD)
        for number in range(6000):
            await authenticator.verdict(f"Bearer t{number}".encode())
        await authenticator.verdict(GOOD)
        return reviewer.reviewed

    assert asyncio.run(story()).count("good") == 1


def test_kept_verdicts_are_bounded_and_the_oldest_goes() -> None:
    kept = VerdictCache(60, 2, Clock())
    for key in (b"a", b"b", b"a", b"c"):
        kept.put(key, ALLOWED)

    assert (len(kept), kept.get(b"a"), kept.get(b"b"), kept.get(b"c")) == (2, ALLOWED, None, ALLOWED)


def test_no_token_is_found_in_what_is_kept() -> None:
    async def story() -> str:
        authenticator, reviewer, _ = build()
        await authenticator.verdict(b"Bearer a-secret-token")
        reviewer.reviewed.clear()
        return repr(vars(authenticator)) + "".join(
            repr(vars(each)) for each in vars(authenticator).values() if isinstance(each, VerdictCache)
        )

    assert "a-secret-token" not in asyncio.run(story())

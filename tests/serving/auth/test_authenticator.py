"""The authenticator reviews a token once, caches the verdict by a monotonic clock, and admits no request in doubt."""

import asyncio
from dataclasses import dataclass, field

import pytest

from flywheel_serving.auth import authenticator as authentication
from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.auth.review_queue import MAX_REFUSALS, MAX_WAITING_OF_PEER
from flywheel_serving.auth.verdict import (
    ALLOWED,
    AuthResult,
    Verdict,
    VerdictCache,
    forbidden_verdict,
    unauthenticated_verdict,
    unavailable_verdict,
)

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
    verbs: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    token_hint: str = "send a token"
    concurrency: int = 4

    async def start(self) -> None:
        pass

    async def review(self, token: str, verb: str) -> Verdict:
        self.reviewed.append(token)
        self.verbs.append(verb)
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
        pytest.param(unauthenticated_verdict("no"), 10, id="unknown"),
        pytest.param(forbidden_verdict("no"), 10, id="forbidden"),
        pytest.param(unavailable_verdict("no"), 1, id="undecided"),
        pytest.param(Verdict(AuthResult.ALLOWED, valid_seconds=7), 7, id="allowed by a token that ends soon"),
    ],
)
def test_a_verdict_is_cached_for_its_time(verdict: Verdict, seconds: float) -> None:
    async def scenario() -> list[int]:
        authenticator, reviewer, clock = build(good=verdict)
        reviewed = []
        for now in (0, seconds - 0.1, seconds + 0.1):
            clock.now = now
            assert await authenticator.verdict(GOOD) == verdict
            reviewed.append(len(reviewer.reviewed))
        return reviewed

    assert asyncio.run(scenario()) == [1, 1, 2]


def test_concurrent_requests_with_one_token_share_one_review() -> None:
    async def scenario() -> tuple[list[Verdict], list[str]]:
        authenticator, reviewer, _ = build()
        reviewer.open.clear()
        waiting = [asyncio.ensure_future(authenticator.verdict(GOOD)) for _ in range(50)]
        await asyncio.sleep(0)
        reviewer.open.set()
        return await asyncio.gather(*waiting), reviewer.reviewed

    verdicts, reviewed = asyncio.run(scenario())

    assert (verdicts, reviewed) == ([ALLOWED] * 50, ["good"])


def test_a_client_that_cancels_does_not_affect_the_others() -> None:
    async def scenario() -> Verdict:
        authenticator, reviewer, _ = build()
        reviewer.open.clear()
        gone, stays = (asyncio.ensure_future(authenticator.verdict(GOOD)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        reviewer.open.set()
        return await stays

    assert asyncio.run(scenario()) == ALLOWED


def test_few_reviews_run_at_once_and_those_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "REFUSAL_DELAY_SECONDS", 0.0)

    async def scenario() -> tuple[AuthResult, int]:
        authenticator, reviewer, _ = build()
        reviewer.open.clear()
        waiting = [
            asyncio.ensure_future(authenticator.verdict(f"Bearer {number}".encode(), "peer"))
            for number in range(MAX_WAITING_OF_PEER + 2)
        ]
        await asyncio.sleep(0)
        verdict = await authenticator.verdict(b"Bearer late", "peer")
        await asyncio.sleep(0)
        reviewed = len(reviewer.reviewed)
        reviewer.open.set()
        await asyncio.gather(*waiting)
        return verdict.result, reviewed

    assert asyncio.run(scenario()) == (AuthResult.UNAVAILABLE, 2), "half of the reviews may be one peer's"


def test_a_token_in_use_is_reviewed_again_before_its_verdict_ends() -> None:
    async def scenario() -> list[int]:
        authenticator, reviewer, clock = build()
        reviewed = []
        for now in (0, 40, 50, 70, 100, 105, 120):
            clock.now = now
            if now:
                assert authenticator.cached_verdict(GOOD) == ALLOWED, "no request waits"
            else:
                await authenticator.verdict(GOOD)
            await asyncio.sleep(0.001)
            reviewed.append(len(reviewer.reviewed))
        return reviewed

    assert asyncio.run(scenario()) == [1, 1, 2, 2, 3, 3, 3]


def test_a_token_that_is_refused_later_is_refused_at_once() -> None:
    async def scenario() -> Verdict | None:
        authenticator, reviewer, clock = build()
        await authenticator.verdict(GOOD)
        reviewer.verdicts["good"] = refused = unauthenticated_verdict("revoked")
        clock.now = 50
        assert authenticator.cached_verdict(GOOD) == ALLOWED
        await asyncio.sleep(0.001)
        assert authenticator.cached_verdict(GOOD) == refused
        clock.now = 61
        return authenticator.cached_verdict(GOOD)

    assert asyncio.run(scenario()) is None


def test_an_undecided_renewal_keeps_the_verdict() -> None:
    async def scenario() -> Verdict | None:
        authenticator, reviewer, clock = build()
        await authenticator.verdict(GOOD)
        reviewer.verdicts["good"] = unavailable_verdict("the API server does not respond")
        clock.now = 50
        authenticator.cached_verdict(GOOD)
        await asyncio.sleep(0.001)
        return authenticator.cached_verdict(GOOD)

    assert asyncio.run(scenario()) == ALLOWED


def test_made_up_tokens_are_slowed_and_a_known_token_is_not() -> None:
    async def scenario() -> tuple[int, float, float, Verdict]:
        bad = {f"bad{number}": unauthenticated_verdict("no") for number in range(100)}
        authenticator, reviewer, clock = build(**bad)
        await authenticator.verdict(GOOD, "shared")
        for number in range(100):
            asyncio.ensure_future(authenticator.verdict(f"Bearer bad{number}".encode(), "shared"))  # noqa: RUF006  it waits to the end
        await asyncio.sleep(0.01)
        reviewed = sum(each != "good" for each in reviewer.reviewed)
        clock.now = 59
        assert authenticator.cached_verdict(GOOD) == ALLOWED
        await asyncio.sleep(0.01)
        clock.now = 61
        delays = authenticator.refusal_delay_seconds("shared"), authenticator.refusal_delay_seconds("another")
        verdict = authenticator.cached_verdict(GOOD)
        assert verdict is not None
        authenticator.close()
        return reviewed, *delays, verdict

    reviewed, _, other_delay, verdict = asyncio.run(scenario())

    assert (reviewed, other_delay, verdict) == (MAX_REFUSALS, 0.0, ALLOWED)


def test_a_reviewer_that_hangs_is_unavailable_after_the_timeout() -> None:
    async def scenario() -> Verdict:
        reviewer = FakeReviewer()
        return await Authenticator(reviewer, timeout_seconds=0.01).verdict(GOOD)

    verdict = asyncio.run(scenario())

    assert verdict.result is AuthResult.UNAVAILABLE
    assert "was not reviewed within 0.01 seconds" in verdict.message


def test_a_reviewer_that_fails_admits_no_request() -> None:
    authenticator, _, _ = build(good=ZeroDivisionError("bug"))

    async def scenario() -> Verdict:
        return await authenticator.verdict(GOOD)

    assert asyncio.run(scenario()).result is AuthResult.UNAVAILABLE


@pytest.mark.parametrize(
    "authorization",
    [b"", b"Bearer", b"Bearer ", b"Basic Z29vZA==", b"Bearer a b", b"Bearer a, Bearer b", b"Bearer \xff", b"Bearer good\n", b"Bearer " + b"a" * 20_000],
)  # fmt: skip
def test_a_header_without_a_bearer_token_is_not_reviewed(authorization: bytes) -> None:
    authenticator, reviewer, _ = build()

    verdict = authenticator.cached_verdict(authorization)

    assert verdict is not None
    assert (verdict.result, reviewer.reviewed) == (AuthResult.UNAUTHENTICATED, [])


def test_random_tokens_evict_no_allowed_one() -> None:
    async def scenario() -> list[str]:
        authenticator, reviewer, _ = build(**{f"t{number}": unauthenticated_verdict("no") for number in range(6000)})
        await authenticator.verdict(GOOD)
        for number in range(6000):
            await authenticator.verdict(f"Bearer t{number}".encode(), f"peer {number}")
        await authenticator.verdict(GOOD)
        return reviewer.reviewed

    assert asyncio.run(scenario()).count("good") == 1


def test_the_cache_evicts_the_oldest_verdict() -> None:
    kept = VerdictCache(60, 2, Clock())
    for key in (b"a", b"b", b"a", b"c"):
        kept.put(key, ALLOWED)

    assert (len(kept), kept.get(b"a"), kept.get(b"b"), kept.get(b"c")) == (2, ALLOWED, None, ALLOWED)


def test_the_cache_holds_no_token() -> None:
    async def scenario() -> str:
        authenticator, reviewer, _ = build()
        await authenticator.verdict(b"Bearer a-secret-token")
        reviewer.reviewed.clear()
        return repr(vars(authenticator)) + "".join(
            repr(vars(each)) for each in vars(authenticator).values() if isinstance(each, VerdictCache)
        )

    assert "a-secret-token" not in asyncio.run(scenario())


def test_a_verdict_counts_for_its_verb_alone() -> None:
    async def scenario() -> list[str]:
        authenticator, reviewer, _ = build()
        assert await authenticator.verdict(GOOD) == ALLOWED
        assert authenticator.cached_verdict(GOOD, "label") is None
        reviewed: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        authenticator.request_review(GOOD, "peer", reviewed.set_result, "label")
        assert await reviewed == ALLOWED
        assert authenticator.cached_verdict(GOOD, "label") == ALLOWED
        return reviewer.verbs

    assert asyncio.run(scenario()) == ["get", "label"]

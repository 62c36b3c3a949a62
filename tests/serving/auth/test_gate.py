"""The gate asks once for a token, remembers for a while by a clock that nobody sets, and lets nobody in when in doubt."""

import asyncio
from dataclasses import dataclass, field

import pytest

from flywheel_serving.auth import gate as gates
from flywheel_serving.auth.gate import Gate
from flywheel_serving.auth.kept import Kept
from flywheel_serving.auth.verdict import ALLOWED, Outcome, Verdict, forbidden, unauthenticated, unavailable

GOOD = b"Bearer good"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Judge:
    """Answers by the token, as soon as `open` is set."""

    verdicts: dict[str, Verdict | Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: str = "send a token"

    async def start(self) -> None:
        pass

    async def judge(self, token: str) -> Verdict:
        self.asked.append(token)
        await self.open.wait()
        found = self.verdicts.get(token, ALLOWED)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        pass


def made(**verdicts: Verdict | Exception) -> tuple[Gate, Judge, Clock]:
    clock = Clock()
    judge = Judge(dict(verdicts))
    judge.open.set()
    return Gate(judge, clock), judge, clock


@pytest.mark.parametrize(
    ("verdict", "seconds"),
    [
        pytest.param(ALLOWED, 60, id="allowed"),
        pytest.param(unauthenticated("no"), 10, id="unknown"),
        pytest.param(forbidden("no"), 10, id="forbidden"),
        pytest.param(unavailable("no"), 1, id="undecided"),
        pytest.param(Verdict(Outcome.ALLOWED, seconds=7), 7, id="allowed by a token that ends soon"),
    ],
)
def test_a_verdict_is_kept_for_a_while(verdict: Verdict, seconds: float) -> None:
    async def story() -> list[int]:
        gate, judge, clock = made(good=verdict)
        asked = []
        for now in (0, seconds - 0.1, seconds + 0.1):
            clock.now = now
            assert await gate.verdict(GOOD) == verdict
            asked.append(len(judge.asked))
        return asked

    assert asyncio.run(story()) == [1, 1, 2]


def test_many_who_bring_one_token_wait_for_one_answer() -> None:
    async def story() -> tuple[list[Verdict], list[str]]:
        gate, judge, _ = made()
        judge.open.clear()
        waiting = [asyncio.ensure_future(gate.verdict(GOOD)) for _ in range(50)]
        await asyncio.sleep(0)
        judge.open.set()
        return await asyncio.gather(*waiting), judge.asked

    verdicts, asked = asyncio.run(story())

    assert (verdicts, asked) == ([ALLOWED] * 50, ["good"])


def test_who_does_not_wait_harms_nobody() -> None:
    async def story() -> Verdict:
        gate, judge, _ = made()
        judge.open.clear()
        gone, stays = (asyncio.ensure_future(gate.verdict(GOOD)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        judge.open.set()
        return await stays

    assert asyncio.run(story()) == ALLOWED


def test_questions_under_way_are_bounded() -> None:
    async def story() -> tuple[Outcome, int]:
        gate, judge, _ = made()
        judge.open.clear()
        waiting = [asyncio.ensure_future(gate.verdict(f"Bearer {number}".encode())) for number in range(300)]
        await asyncio.sleep(0)
        verdict = await gate.verdict(b"Bearer late")
        await asyncio.sleep(0)
        asked = len(judge.asked)
        judge.open.set()
        await asyncio.gather(*waiting)
        return verdict.outcome, asked

    assert asyncio.run(story()) == (Outcome.UNAVAILABLE, gates.UNDER_WAY)


def test_a_judge_that_does_not_answer_keeps_nobody_waiting_for_ever() -> None:
    async def story() -> Verdict:
        judge = Judge()
        return await Gate(judge, patience=0.01).verdict(GOOD)

    verdict = asyncio.run(story())

    assert verdict.outcome is Outcome.UNAVAILABLE
    assert "was not checked within 0.01 seconds" in verdict.message


def test_a_judge_that_fails_lets_nobody_in() -> None:
    gate, _, _ = made(good=ZeroDivisionError("bug"))

    async def story() -> Verdict:
        return await gate.verdict(GOOD)

    assert asyncio.run(story()).outcome is Outcome.UNAVAILABLE


@pytest.mark.parametrize(
    "authorization",
    [b"", b"Bearer", b"Bearer ", b"Basic Z29vZA==", b"Bearer a b", b"Bearer a, Bearer b", b"Bearer \xff", b"Bearer good\n", b"Bearer " + b"a" * 20_000],
)  # fmt: skip
def test_what_is_no_bearer_token_is_not_judged(authorization: bytes) -> None:
    gate, judge, _ = made()

    verdict = gate.known(authorization)

    assert verdict is not None
    assert (verdict.outcome, judge.asked) == (Outcome.UNAUTHENTICATED, [])


def test_made_up_tokens_push_no_allowed_one_out() -> None:
    async def story() -> list[str]:
        gate, judge, _ = made(**{f"t{number}": unauthenticated("no") for number in range(6000)})
        await gate.verdict(GOOD)
        for number in range(6000):
            await gate.verdict(f"Bearer t{number}".encode())
        await gate.verdict(GOOD)
        return judge.asked

    assert asyncio.run(story()).count("good") == 1


def test_kept_verdicts_are_bounded_and_the_oldest_goes() -> None:
    kept = Kept(60, 2, Clock())
    for key in (b"a", b"b", b"a", b"c"):
        kept.put(key, ALLOWED)

    assert (len(kept), kept.get(b"a"), kept.get(b"b"), kept.get(b"c")) == (2, ALLOWED, None, ALLOWED)


def test_no_token_is_found_in_what_is_kept() -> None:
    async def story() -> str:
        gate, judge, _ = made()
        await gate.verdict(b"Bearer a-secret-token")
        judge.asked.clear()
        return repr(vars(gate)) + "".join(repr(vars(each)) for each in vars(gate).values() if isinstance(each, Kept))

    assert "a-secret-token" not in asyncio.run(story())

"""When the API server is slow, wrong, gone or says no, nobody is let in. (With a real one: tests/apiserver/test_server_auth.py.)"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flywheel_serving.auth import startup
from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.auth.config import ServiceAccountConfig
from flywheel_serving.auth.kubernetes_review import KubernetesReviewer
from flywheel_serving.auth.verdict import CannotStart, Outcome, Verdict
from tests.serving.auth.https_server import HttpsServer

AUDIENCE = "fraud.shop.svc"
JANE = {"username": "system:serviceaccount:shop:jane", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]}}
KNOWN = {"authenticated": True, "user": JANE, "audiences": [AUDIENCE]}
WHOSE = "/apis/authentication.k8s.io/v1/tokenreviews"
MAY = "/apis/authorization.k8s.io/v1/namespaces/shop/localsubjectaccessreviews"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[HttpsServer]:
    (tmp_path / "token").write_text("mine\n")
    with HttpsServer(tmp_path, answering()) as server:
        yield server


def answering(
    whose: Any = KNOWN, may: Any = None, seen: list[Any] | None = None
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """An API server that answers so, and notes what it was asked."""
    statuses = {WHOSE: whose, MAY: may if may is not None else {"allowed": True}}

    def answer(_method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        if seen is not None:
            seen.append((path, body["spec"], headers["authorization"]))
        status = statuses[path]
        return status if isinstance(status, tuple) else (201, {"status": status})

    return answer


def judged(api: HttpsServer, *answers: Any, token: str = "hers") -> list[Verdict]:
    """A judge that started well, then one verdict for each answer."""

    async def run() -> list[Verdict]:
        judge = KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent))
        await judge.start()
        found = []
        for answer in answers:
            api.answers = answer
            found.append(await judge.review(token))
        judge.close()
        return found

    return asyncio.run(run())


def test_it_asks_whose_the_token_is_and_whether_they_may_get_this_service(api: HttpsServer) -> None:
    seen: list[Any] = []

    [verdict] = judged(api, answering(seen=seen))

    assert verdict.outcome is Outcome.ALLOWED
    assert seen == [
        (WHOSE, {"token": "hers", "audiences": [AUDIENCE]}, "Bearer mine"),
        (
            MAY,
            {
                "resourceAttributes": {
                    "verb": "get",
                    "group": "flywheel.ml",
                    "resource": "inferenceservices",
                    "namespace": "shop",
                    "name": "fraud",
                },
                "user": "system:serviceaccount:shop:jane",
                "uid": "7",
                "groups": ["g"],
                "extra": {"k": ["v"]},
            },
            "Bearer mine",
        ),
    ]


@pytest.mark.parametrize(
    ("whose", "may", "outcome"),
    [
        pytest.param({"authenticated": False}, None, Outcome.UNAUTHENTICATED, id="nobody's token"),
        pytest.param({**KNOWN, "audiences": []}, None, Outcome.UNAUTHENTICATED, id="an API server that ignores audiences"),
        pytest.param({**KNOWN, "audiences": ["other"]}, None, Outcome.UNAUTHENTICATED, id="another audience"),
        pytest.param({}, None, Outcome.UNAUTHENTICATED, id="no word on who it is"),
        pytest.param(KNOWN, {"allowed": False}, Outcome.FORBIDDEN, id="not allowed"),
        pytest.param(KNOWN, {"allowed": "true"}, Outcome.FORBIDDEN, id="allowed in a word that is not true"),
        pytest.param(KNOWN, {}, Outcome.FORBIDDEN, id="no word on whether they may"),
        pytest.param((500, {"message": "etcd"}), None, Outcome.UNAVAILABLE, id="500"),
        pytest.param((429, {}), None, Outcome.UNAVAILABLE, id="429"),
        pytest.param((302, {}), None, Outcome.UNAVAILABLE, id="a redirect"),
        pytest.param((201, b"<html>"), None, Outcome.UNAVAILABLE, id="no JSON"),
        pytest.param((201, [1]), None, Outcome.UNAVAILABLE, id="no object"),
        pytest.param((201, b" " * 2_000_000), None, Outcome.UNAVAILABLE, id="an answer without end"),
        pytest.param((403, {"message": "no"}), None, Outcome.UNAVAILABLE, id="the right was taken away"),
        pytest.param((401, {}), None, Outcome.UNAVAILABLE, id="our own token is refused"),
        pytest.param(KNOWN, (500, {}), Outcome.UNAVAILABLE, id="the second question fails"),
        pytest.param(KNOWN, (403, {"message": "no"}), Outcome.UNAVAILABLE, id="the second question is forbidden"),
    ],
)  # fmt: skip
def test_in_doubt_nobody_is_let_in(api: HttpsServer, whose: Any, may: Any, outcome: Outcome) -> None:
    [verdict] = judged(api, answering(whose, may))

    assert verdict.outcome is outcome


def test_an_api_server_that_comes_back_is_asked_again(api: HttpsServer) -> None:
    async def story() -> list[Outcome]:
        judge = KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent))
        await judge.start()
        outcomes = []
        changes: list[Callable[[], None]] = [lambda: None, api.down, api.up]
        for change in changes:
            change()
            outcomes.append((await judge.review("hers")).outcome)
        judge.close()
        return outcomes

    assert asyncio.run(story()) == [Outcome.ALLOWED, Outcome.UNAVAILABLE, Outcome.ALLOWED]


def test_a_connection_that_was_closed_while_it_was_idle_costs_nobody_an_answer(api: HttpsServer) -> None:
    async def story() -> list[Outcome]:
        judge = KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent))
        await judge.start()
        api.down()
        api.up()
        outcomes = [(await judge.review("hers")).outcome for _ in range(8)]
        judge.close()
        return outcomes

    assert set(asyncio.run(story())) == {Outcome.ALLOWED}


def test_while_it_is_down_whom_it_let_in_stays_in_for_a_minute_and_no_longer(api: HttpsServer) -> None:
    now = [0.0]

    async def story() -> list[Outcome]:
        gate = Authenticator(
            KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent)),
            lambda: now[0],
        )
        await gate.start()
        found = [(await gate.verdict(b"Bearer hers")).outcome]
        api.answers = lambda *_: (503, {})
        found.append((await gate.verdict(b"Bearer his")).outcome)
        now[0] = 59.0
        found.append((await gate.verdict(b"Bearer hers")).outcome)
        now[0] = 61.0
        found.append((await gate.verdict(b"Bearer hers")).outcome)
        gate.close()
        return found

    assert asyncio.run(story()) == [Outcome.ALLOWED, Outcome.UNAVAILABLE, Outcome.ALLOWED, Outcome.UNAVAILABLE]


def test_its_own_token_is_read_again_as_the_kubelet_renews_it(api: HttpsServer) -> None:
    seen: list[Any] = []

    async def story() -> None:
        judge = KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent))
        await judge.start()
        (api.ca.parent / "token").write_text("renewed")
        api.answers = answering(seen=seen)
        await judge.review("hers")
        judge.close()

    asyncio.run(story())

    assert {authorization for _, _, authorization in seen} == {"Bearer renewed"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(answering((403, {"message": "User cannot create"})), "ReviewsForbidden", id="no right on tokens"),
        pytest.param(answering(may=(403, {})), "ReviewsForbidden", id="no right on access"),
        pytest.param(answering((500, {})), "ApiServerUnreachable", id="an API server that is not well"),
    ],
)
def test_a_server_that_could_let_nobody_in_does_not_start(
    api: HttpsServer, monkeypatch: pytest.MonkeyPatch, answer: Any, reason: str
) -> None:
    monkeypatch.setattr(startup, "START_TIMEOUT_SECONDS", 0.0)
    api.answers = answer

    with pytest.raises(CannotStart) as refusal:
        judged(api)

    assert refusal.value.reason == reason


def test_outside_a_pod_it_is_said_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(CannotStart, match=r"give serviceAccount\.apiServer, or use jwt or none"):
        asyncio.run(
            KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), credentials=tmp_path)).start()
        )

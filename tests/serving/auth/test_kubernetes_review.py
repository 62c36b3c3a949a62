"""No request is admitted if the API server is slow, wrong, down or refuses. (With a real one: tests/apiserver/test_server_auth.py.)"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flywheel_serving.auth import startup
from flywheel_serving.auth.authenticator import Authenticator
from flywheel_serving.auth.config import ServiceAccountConfig
from flywheel_serving.auth.kubernetes_review import KubernetesReviewer
from flywheel_serving.auth.verdict import AuthResult, CannotStart, Verdict
from tests.serving.auth.https_server import HttpsServer

pytestmark = pytest.mark.integration  # the other side is a slow API server

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
    """An API server with these responses, which records its requests."""
    statuses = {WHOSE: whose, MAY: may if may is not None else {"allowed": True}}

    def answer(_method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        if seen is not None:
            seen.append((path, body["spec"], headers["authorization"]))
        status = statuses[path]
        return status if isinstance(status, tuple) else (201, {"status": status})

    return answer


def review_token(api: HttpsServer, *answers: Any, token: str = "hers", verb: str = "get") -> list[Verdict]:
    """One verdict for each answer, of a reviewer that has started."""

    async def run() -> list[Verdict]:
        reviewer = KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent))
        await reviewer.start()
        found = []
        for answer in answers:
            api.answers = answer
            found.append(await reviewer.review(token, verb))
        reviewer.close()
        return found

    return asyncio.run(run())


def test_it_creates_a_token_review_and_an_access_review(api: HttpsServer) -> None:
    seen: list[Any] = []

    [verdict] = review_token(api, answering(seen=seen))

    assert (verdict.result, verdict.caller) == (AuthResult.ALLOWED, JANE["username"])
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
    ("whose", "may", "result"),
    [
        pytest.param({"authenticated": False}, None, AuthResult.UNAUTHENTICATED, id="nobody's token"),
        pytest.param({**KNOWN, "audiences": []}, None, AuthResult.UNAUTHENTICATED, id="an API server that ignores audiences"),
        pytest.param({**KNOWN, "audiences": ["other"]}, None, AuthResult.UNAUTHENTICATED, id="another audience"),
        pytest.param({}, None, AuthResult.UNAUTHENTICATED, id="no word on who it is"),
        pytest.param(KNOWN, {"allowed": False}, AuthResult.FORBIDDEN, id="not allowed"),
        pytest.param(KNOWN, {"allowed": "true"}, AuthResult.FORBIDDEN, id="allowed in a word that is not true"),
        pytest.param(KNOWN, {}, AuthResult.FORBIDDEN, id="no word on whether they may"),
        pytest.param((500, {"message": "etcd"}), None, AuthResult.UNAVAILABLE, id="500"),
        pytest.param((429, {}), None, AuthResult.UNAVAILABLE, id="429"),
        pytest.param((302, {}), None, AuthResult.UNAVAILABLE, id="a redirect"),
        pytest.param((201, b"<html>"), None, AuthResult.UNAVAILABLE, id="no JSON"),
        pytest.param((201, [1]), None, AuthResult.UNAVAILABLE, id="no object"),
        pytest.param((201, b" " * 2_000_000), None, AuthResult.UNAVAILABLE, id="an answer without end"),
        pytest.param((403, {"message": "no"}), None, AuthResult.UNAVAILABLE, id="the right was taken away"),
        pytest.param((401, {}), None, AuthResult.UNAVAILABLE, id="our own token is refused"),
        pytest.param(KNOWN, (500, {}), AuthResult.UNAVAILABLE, id="the second question fails"),
        pytest.param(KNOWN, (403, {"message": "no"}), AuthResult.UNAVAILABLE, id="the second question is forbidden"),
    ],
)  # fmt: skip
def test_without_an_answer_of_the_api_server_no_request_is_admitted(
    api: HttpsServer, whose: Any, may: Any, result: AuthResult
) -> None:
    [verdict] = review_token(api, answering(whose, may))

    assert verdict.result is result


def test_labels_need_a_verb_of_their_own(api: HttpsServer) -> None:
    seen: list[Any] = []

    def may_call(_method: str, path: str, body: Any, _headers: dict[str, str]) -> tuple[int, Any]:
        seen.append(body["spec"].get("resourceAttributes", {}).get("verb"))
        allowed = body["spec"].get("resourceAttributes", {}).get("verb") == "get"
        return 201, {"status": KNOWN if path == WHOSE else {"allowed": allowed}}

    [verdict] = review_token(api, may_call, verb="label")

    assert verdict.result is AuthResult.FORBIDDEN
    assert "'system:serviceaccount:shop:jane' may not post labels to InferenceService 'fraud'" in verdict.message
    assert (
        "create rolebinding labelers -n shop --clusterrole=flywheel-labeler --serviceaccount=shop:jane"
        in verdict.message
    )
    assert seen == [None, "label"]


def test_an_api_server_that_recovers_is_used_again(api: HttpsServer) -> None:
    async def scenario() -> list[AuthResult]:
        reviewer = KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent))
        await reviewer.start()
        results = []
        changes: list[Callable[[], None]] = [lambda: None, api.down, api.up]
        for change in changes:
            change()
            results.append((await reviewer.review("hers")).result)
        reviewer.close()
        return results

    assert asyncio.run(scenario()) == [AuthResult.ALLOWED, AuthResult.UNAVAILABLE, AuthResult.ALLOWED]


def test_a_connection_closed_while_idle_costs_no_response(api: HttpsServer) -> None:
    async def scenario() -> list[AuthResult]:
        reviewer = KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent))
        await reviewer.start()
        api.down()
        api.up()
        results = [(await reviewer.review("hers")).result for _ in range(8)]
        reviewer.close()
        return results

    assert set(asyncio.run(scenario())) == {AuthResult.ALLOWED}


def test_while_the_api_server_is_down_a_cached_verdict_lasts_a_minute(api: HttpsServer) -> None:
    now = [0.0]

    async def scenario() -> list[AuthResult]:
        gate = Authenticator(
            KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent)),
            lambda: now[0],
        )
        await gate.start()
        found = [(await gate.verdict(b"Bearer hers")).result]
        api.answers = lambda *_: (503, {})
        found.append((await gate.verdict(b"Bearer his")).result)
        now[0] = 59.0
        found.append((await gate.verdict(b"Bearer hers")).result)
        now[0] = 61.0
        found.append((await gate.verdict(b"Bearer hers")).result)
        gate.close()
        return found

    assert asyncio.run(scenario()) == [
        AuthResult.ALLOWED,
        AuthResult.UNAVAILABLE,
        AuthResult.ALLOWED,
        AuthResult.UNAVAILABLE,
    ]


def test_the_pods_token_is_read_for_each_review(api: HttpsServer) -> None:
    seen: list[Any] = []

    async def scenario() -> None:
        reviewer = KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), api.url, api.ca.parent))
        await reviewer.start()
        (api.ca.parent / "token").write_text("renewed")
        api.answers = answering(seen=seen)
        await reviewer.review("hers")
        reviewer.close()

    asyncio.run(scenario())

    assert {authorization for _, _, authorization in seen} == {"Bearer renewed"}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param(answering((403, {"message": "User cannot create"})), "ReviewsForbidden", id="no right on tokens"),
        pytest.param(answering(may=(403, {})), "ReviewsForbidden", id="no right on access"),
        pytest.param(answering((500, {})), "ApiServerUnreachable", id="an API server that is not well"),
    ],
)
def test_a_server_that_could_admit_no_caller_does_not_start(
    api: HttpsServer, monkeypatch: pytest.MonkeyPatch, answer: Any, reason: str
) -> None:
    monkeypatch.setattr(startup, "START_TIMEOUT_SECONDS", 0.0)
    api.answers = answer

    with pytest.raises(CannotStart) as refusal:
        review_token(api)

    assert refusal.value.reason == reason


def test_outside_a_pod_the_error_names_the_next_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(CannotStart, match=r"give serviceAccount\.apiServer, or use jwt or none"):
        asyncio.run(
            KubernetesReviewer(ServiceAccountConfig("shop", "fraud", (AUDIENCE,), credentials=tmp_path)).start()
        )

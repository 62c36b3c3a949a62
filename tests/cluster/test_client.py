"""What the client makes of the API server's answers, and what the writer holds back: a server on loopback that answers as told."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from kubernetes.client import Configuration

from flywheel.cluster.apply import Writer
from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError, NotLeading
from flywheel.core.resource.api import CONFIG_MAP, Reference

CHILD = Reference(CONFIG_MAP, "shop", "child")
MANIFEST = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child", "namespace": "shop"}}


class Answers:
    """The next answer (`pages`: the next ones), and what was asked."""

    status = 200
    headers: dict[str, str]
    body: Any

    def __init__(self) -> None:
        self.headers, self.body = {}, {}
        self.asked: list[tuple[str, str, Any]] = []
        self.pages: list[Any] = []


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def client(answers: Answers) -> Iterator[Client]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answers.asked.append((self.command, self.path, json.loads(sent) if sent else None))
            said = answers.pages.pop(0) if answers.pages else answers.body
            body = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(answers.status)
            for name, value in answers.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    settings = Configuration(host=f"http://127.0.0.1:{server.server_address[1]}")
    settings.retries = False
    yield Client(settings)
    server.shutdown()
    server.server_close()
    thread.join()


def refusal(answers: Answers, client: Client, status: int, message: str, **headers: str) -> ApiError:
    answers.status, answers.headers = status, {name.replace("_", "-"): value for name, value in headers.items()}
    answers.body = {"kind": "Status", "reason": "Told", "message": message}
    with pytest.raises(ApiError) as caught:
        client.apply(CONFIG_MAP, MANIFEST, "test")
    return caught.value


def test_a_429_has_its_retry_after(answers: Answers, client: Client) -> None:
    error = refusal(answers, client, 429, "too many requests", Retry_After="7")

    assert (error.throttled, error.retry_after) == (True, 7.0)


@pytest.mark.parametrize(
    ("status", "message", "judgement"),
    [
        pytest.param(422, "data: Invalid value", "invalid", id="broken rules"),
        pytest.param(
            500, "failed to create typed patch object: .spec.x: field not declared", "invalid", id="unknown field"
        ),
        pytest.param(422, "metadata.uid: Invalid value: Precondition failed", "conflict", id="another object's uid"),
        pytest.param(409, "the object has been modified", "conflict", id="somebody was faster"),
        pytest.param(403, "pods is forbidden: exceeded quota: few", "over_quota", id="a quota"),
        pytest.param(403, "cannot patch resource", "forbidden", id="no right"),
        pytest.param(403, "namespace shop is being terminated", "namespace_terminating", id="a namespace that goes"),
        pytest.param(404, "not found", "not_found", id="nothing there"),
    ],
)
def test_refusals_are_told_apart(answers: Answers, client: Client, status: int, message: str, judgement: str) -> None:
    assert getattr(refusal(answers, client, status, message), judgement)


def test_a_predecessors_uid_is_not_the_users_fault(answers: Answers, client: Client) -> None:
    assert not refusal(answers, client, 422, "metadata.uid: Invalid value: Precondition failed").invalid


def test_what_is_not_there_is_none(answers: Answers, client: Client) -> None:
    answers.status, answers.body = 404, {"kind": "Status", "reason": "NotFound", "message": "no"}

    assert client.get(CHILD) is None
    assert client.delete(CHILD, "uid") is None


def test_an_answer_that_is_not_json_is_no_answer(answers: Answers, client: Client) -> None:
    answers.body = b"<html>"

    with pytest.raises(ApiError) as caught:
        client.get(CHILD)

    assert caught.value.status == 0


def test_a_missing_response_is_status_0() -> None:
    settings = Configuration(host="http://127.0.0.1:1")
    settings.retries = False

    with pytest.raises(ApiError, match="Unreachable"):
        Client(settings).get(CHILD)


def test_a_creation_can_never_touch_what_is_there(answers: Answers, client: Client) -> None:
    Writer(client, lambda: True).create(CONFIG_MAP, MANIFEST, "test")

    [(method, path, body)] = answers.asked
    assert (method, path) == ("PATCH", "/api/v1/namespaces/shop/configmaps/child?fieldManager=test&force=true")
    assert body["metadata"]["resourceVersion"] == "1"


def test_an_update_names_the_object_that_was_seen(answers: Answers, client: Client) -> None:
    Writer(client, lambda: True).update(CONFIG_MAP, MANIFEST, "test", uid="c1")

    assert answers.asked[0][2]["metadata"]["uid"] == "c1"


def test_a_deletion_names_the_object_that_was_seen(answers: Answers, client: Client) -> None:
    Writer(client, lambda: True).delete(CHILD, "c1")

    body = answers.asked[0][2]
    assert (body["preconditions"], body["propagationPolicy"]) == ({"uid": "c1"}, "Background")


def test_every_write_of_the_reconcilers_is_an_apply_or_a_deletion_by_uid(answers: Answers, client: Client) -> None:
    writer = Writer(client, lambda: True)
    writer.create(CONFIG_MAP, MANIFEST, "test")
    writer.update(CONFIG_MAP, MANIFEST, "test", "c1")
    writer.apply_status(CONFIG_MAP, MANIFEST, "test")
    writer.apply_event(CONFIG_MAP, MANIFEST, "test")
    writer.delete(CHILD, "c1")

    public = {name for name in vars(Writer) if not name.startswith("_")}
    assert public == {"create", "update", "apply_status", "apply_event", "delete"}
    assert [method for method, _, _ in answers.asked] == ["PATCH", "PATCH", "PATCH", "PATCH", "DELETE"]
    assert all("fieldManager=test" in path for method, path, _ in answers.asked if method == "PATCH")


@pytest.mark.parametrize("verb", ["create", "update", "status", "delete", "event"])
def test_without_the_lease_no_request_leaves(answers: Answers, client: Client, verb: str) -> None:
    writer = Writer(client, lambda: False)
    calls: dict[str, Callable[[], object]] = {
        "create": lambda: writer.create(CONFIG_MAP, MANIFEST, "test"),
        "update": lambda: writer.update(CONFIG_MAP, MANIFEST, "test", "c1"),
        "status": lambda: writer.apply_status(CONFIG_MAP, MANIFEST, "test"),
        "delete": lambda: writer.delete(CHILD, "c1"),
        "event": lambda: writer.apply_event(CONFIG_MAP, MANIFEST, "test"),
    }

    with pytest.raises(NotLeading):
        calls[verb]()

    assert answers.asked == []


def test_a_long_list_is_read_to_its_end(answers: Answers, client: Client) -> None:
    one, two = ({"items": [{"metadata": {"name": name}}]} for name in ("one", "two"))
    answers.pages = [{"metadata": {"continue": "more"}, **one}, two]

    found = client.list_objects(CONFIG_MAP, "shop")

    assert [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in found] == [
        ("v1", "ConfigMap", "one"),
        ("v1", "ConfigMap", "two"),
    ]
    assert [path for _, path, _ in answers.asked] == [
        "/api/v1/namespaces/shop/configmaps?limit=500",
        "/api/v1/namespaces/shop/configmaps?limit=500&continue=more",
    ]


def test_a_dry_run_is_requested(answers: Answers, client: Client) -> None:
    client.apply(CONFIG_MAP, MANIFEST, "test", dry_run=True)

    assert answers.asked[0][1].endswith("?fieldManager=test&force=true&dryRun=All")

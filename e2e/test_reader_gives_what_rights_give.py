"""The reader on a real cluster, through the API server: each route gives what a right gives, and to nobody else, field by field.

The table of routes is that of tests/reader/routes.py, which has every route of the application.
"""

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from e2e import kube
from e2e.cluster import cluster
from e2e.namespace import Namespace
from e2e.waiting import wait_until
from tests.reader.http_get import Response, get
from tests.reader.routes import BASE, ROUTES, SECRET, STEP, Route, objects, seed_store
from tests.reader.seeds import Seeds

SYSTEM = "flywheel-system"
PROXIED = f"/api/v1/namespaces/{SYSTEM}/services/http:flywheel-reader:8080/proxy"
ROLES = {"viewer": "view", "data-reader": "flywheel-data-reader"}
Send = Callable[..., Response]


@pytest.fixture(scope="module")
def tenants() -> Iterator[tuple[Namespace, Namespace]]:
    """The tenant whose data it is, and another one; both have the same accounts."""
    found = Namespace("reader-a"), Namespace("reader-b")
    for namespace in found:
        namespace.create()
        for account in ("nobody", *ROLES):
            namespace.kubectl("create", "serviceaccount", account)
        for account, role in ROLES.items():
            subject = f"--serviceaccount={namespace.name}:{account}"
            namespace.kubectl("create", "rolebinding", account, f"--clusterrole={role}", subject)
    yield found
    for namespace in found:
        namespace.delete(wait=False)
        namespace.empty_folder()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A port of loopback that leads to the API server, by `kubectl proxy`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    words = ["--kubeconfig", str(cluster.chosen().kubeconfig), "proxy", f"--port={port}"]
    with subprocess.Popen([str(cluster.kubectl_path()), *words], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _is_open(port), 30, "kubectl proxy does not listen")
            yield port
        finally:
            process.terminate()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def send(tenants: tuple[Namespace, Namespace], port: int) -> Send:
    """The response of a route of the first tenant's namespace for a token."""
    tenant = tenants[0]

    def send(route: Route | str, token: str) -> Response:
        path = route.path if isinstance(route, Route) else route
        return get(
            port,
            f"{PROXIED}{BASE.format(namespace=tenant.name)}{path}",
            {"X-Flywheel-Authorization": f"Bearer {token}"},
        )

    return send


@pytest.fixture(scope="module")
def tokens(tenants: tuple[Namespace, Namespace]) -> dict[tuple[int, str], str]:
    """Tokens for the reader alone, by tenant and account."""
    return {
        (number, account): namespace.kubectl("create", "token", account, "--audience=flywheel-reader").strip()
        for number, namespace in enumerate(tenants)
        for account in ("nobody", *ROLES)
    }


@pytest.fixture(scope="module", autouse=True)
def seeded(tenants: tuple[Namespace, Namespace], send: Send, tokens: dict[tuple[int, str], str]) -> None:
    """What was stored, and the objects that lead to it; the operator finds fault with them, which is not the reader's business."""
    tenant, store = tenants[0], kube.store()
    digests = seed_store(
        Seeds(lambda key, body: store.put_object(Bucket=kube.bucket(), Key=f"{tenant.name}/{key}", Body=body))
    )
    for resource, each in objects(digests):
        tenant.apply(each)
        if "status" in each:
            patch = yaml.safe_dump({"status": each["status"]})
            report = next(route for route in ROUTES if route.template.startswith(f"/{resource}"))

            def is_shown(
                name: str = each["metadata"]["name"], kind: str = resource, patch: str = patch, route: Route = report
            ) -> bool:
                tenant.kubectl("patch", kind, name, "--subresource=status", "--type=merge", f"--patch={patch}")
                account = "data-reader" if route.right[0] == "read-data" else "viewer"
                return send(route, tokens[0, account]).status == 200

            wait_until(is_shown, 60, f"{resource} does not show its report")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_a_right_opens_its_route_and_no_other_account_learns_anything(
    route: Route, send: Send, tokens: dict[tuple[int, str], str]
) -> None:
    good, other = ("data-reader", "viewer") if route.right[0] == "read-data" else ("viewer", "data-reader")

    opened = send(route, tokens[0, good])
    assert opened.status == 200, opened.body
    assert route.shows.encode() in opened.body

    for tenant, account in ((0, other), (0, "nobody"), (1, good), (1, "nobody")):
        closed = send(route, tokens[tenant, account])
        assert (closed.status, closed.reason) == (403, "Forbidden"), closed.body
        assert set(closed.json) == {"error"}
        assert SECRET.encode() not in closed.body
        assert b"sha256" not in closed.body


def test_what_is_forbidden_and_what_does_not_exist_look_the_same(
    send: Send, tokens: dict[tuple[int, str], str]
) -> None:
    for path in ("/trials/{}", "/trials/{}/log", "/modelversions/{}", "/trainingruns/{}/steps/evaluate/report"):
        known = {"/trials/{}": STEP, "/trials/{}/log": STEP, "/modelversions/{}": "delay-1"}.get(path, "nightly-1")
        hidden, absent = (send(path.format(name), tokens[1, "viewer"]) for name in (known, "zzz-absent"))

        assert hidden.status == absent.status == 403
        assert hidden.message.replace(known, "") == absent.message.replace("zzz-absent", "")


def test_tokens_that_do_not_count(
    tenants: tuple[Namespace, Namespace], send: Send, tokens: dict[tuple[int, str], str]
) -> None:
    tenant = tenants[0]
    tenant.kubectl("create", "serviceaccount", "leaver")
    left = tenant.kubectl("create", "token", "leaver", "--audience=flywheel-reader").strip()
    tenant.kubectl("delete", "serviceaccount", "leaver")
    for_another = tenant.kubectl("create", "token", "viewer", "--audience=another").strip()

    for token in (left, for_another, "made-up", tokens[0, "viewer"][:-6]):
        response = send("/trials", token)
        assert (response.status, response.reason) == (401, "Unauthorized")
        assert set(response.json) == {"error"}


def test_the_reader_may_read_and_write_nothing_else() -> None:
    account = f"system:serviceaccount:{SYSTEM}:flywheel-reader"
    for verb, resource in (
        ("get", "secrets"),
        ("create", "pods"),
        ("update", "experiments.flywheel.ml"),
        ("delete", "models.flywheel.ml"),
    ):
        answer = _can(verb, resource, account)
        assert answer == "no", (verb, resource)
    assert _can("get", "experiments.flywheel.ml", account) == "yes"


def _can(verb: str, resource: str, account: str) -> str:
    review: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": account, "resourceAttributes": _attributes(verb, resource)},
    }
    text = kube.kubectl("create", "--filename", "-", "--output", "json", stdin=json.dumps(review))
    return "yes" if json.loads(text)["status"].get("allowed") else "no"


def _attributes(verb: str, resource: str) -> dict[str, str]:
    name, _, group = resource.partition(".")
    return {"verb": verb, "resource": name, "group": group, "namespace": "flights"}

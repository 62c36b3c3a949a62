"""The reader beside a real API server, with the chart's roles and real tokens: each route gives what a right gives, and to nobody else."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from e2e.waiting import wait_until
from tests.apiserver.manifests import Kubectl
from tests.reader.http_get import Response, get
from tests.reader.routes import BASE, ROUTES, SECRET, Route, objects, seed_store
from tests.reader.seeds import Seeds
from tests.rendered_chart import template
from tests.runtime import s3_server
from tests.runtime.s3_server import free_port, is_listening

pytestmark = pytest.mark.apiserver

NAMESPACE, OTHER, BUCKET = "reader-shop", "reader-bakery", "flywheel"
SYSTEM = "reader-system"
RIGHTS = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
Call = Callable[..., str]


@pytest.fixture(scope="module")
def cluster(installed: Kubectl) -> Iterator[Call]:
    """kubectl in a cluster that has from the chart what the reader needs, and two teams."""

    def run(*words: str, stdin: str = "") -> str:
        done = installed(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    for namespace in (NAMESPACE, OTHER, SYSTEM):
        run("create", "namespace", namespace)
    rendered = template("--set", f"namespaces={{{NAMESPACE},{OTHER}}}", "--namespace", SYSTEM)
    names = ("flywheel-reader", "flywheel-data-reader", "flywheel-view")
    ours = [each for each in rendered if each["kind"] in RIGHTS and each["metadata"]["name"].startswith(names)]
    run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(ours))
    for namespace in (NAMESPACE, OTHER):
        for account in ("nobody", "viewer", "data-reader"):
            run("create", "serviceaccount", account, "-n", namespace)
        for account, roles in {"viewer": ["flywheel-view"], "data-reader": ["flywheel-data-reader"]}.items():
            for role in roles:
                subject = f"--serviceaccount={namespace}:{account}"
                run("create", "rolebinding", f"{account}s", f"--clusterrole={role}", subject, "-n", namespace)
    yield run
    cluster_wide = yaml.safe_dump_all([each for each in ours if each["kind"].startswith("Cluster")])
    run("delete", "-f", "-", stdin=cluster_wide)


@pytest.fixture(scope="module")
def port(cluster: Call, apiserver: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A reader with a store, as the chart's ServiceAccount."""
    folder = tmp_path_factory.mktemp("reader")
    known = yaml.safe_load(apiserver.read_text())["clusters"][0]["cluster"]
    authority = known.get("certificate-authority-data")
    content = base64.b64decode(authority) if authority else Path(known["certificate-authority"]).read_bytes()
    (folder / "ca.crt").write_bytes(content)
    (folder / "token").write_text(cluster("create", "token", "flywheel-reader", "-n", SYSTEM))
    with s3_server.running(folder) as s3:
        s3.make_bucket(BUCKET)
        for namespace in (NAMESPACE, OTHER):
            (folder / "stores" / namespace).mkdir(parents=True)
            for key, value in s3.env(BUCKET).items():
                (folder / "stores" / namespace / key).write_text(value)
        digests = seed_store(Seeds.of_server(s3, BUCKET, NAMESPACE))
        for resource, each in objects(digests):
            cluster("apply", "--server-side", "-n", NAMESPACE, "-f", "-", stdin=yaml.safe_dump(each))
            if "status" in each:
                name, patch = each["metadata"]["name"], yaml.safe_dump({"status": each["status"]})
                cluster(
                    "patch", resource, name, "-n", NAMESPACE, "--subresource=status", "--type=merge", f"--patch={patch}"
                )
        port = free_port()
        command = [
            sys.executable, "-m", "flywheel_reader", "--host", "127.0.0.1", "--port", str(port),
            "--stores", str(folder / "stores"), "--api-server", known["server"], "--credentials", str(folder),
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, env=environment) as process:
            try:
                wait_until(lambda: is_listening(port) or process.poll() is not None, 60)
                yield port
            finally:
                process.terminate()


@pytest.fixture(scope="module")
def get_as(cluster: Call, port: int) -> Callable[..., Response]:
    """The response of a route for a ServiceAccount."""
    tokens: dict[tuple[str, str, str], str] = {}

    def send(route: Route, account: str, namespace: str = NAMESPACE, audience: str = "flywheel-reader") -> Response:
        key = (account, namespace, audience)
        if key not in tokens:
            words = [f"--audience={audience}"] if audience else []
            tokens[key] = cluster("create", "token", account, "-n", namespace, *words)
        path = BASE.format(namespace=NAMESPACE) + route.path
        return get(port, path, {"Authorization": f"Bearer {tokens[key]}"})

    return send


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_chart_s_roles_open_what_they_say(route: Route, get_as: Callable[..., Response]) -> None:
    reads_data = route.right[0] == "read-data"
    good, other = ("data-reader", "viewer") if reads_data else ("viewer", "data-reader")

    opened = get_as(route, good)
    assert opened.status == 200, opened.body
    assert route.shows.encode() in opened.body

    for account, namespace in ((other, NAMESPACE), ("nobody", NAMESPACE), (good, OTHER)):
        closed = get_as(route, account, namespace)
        assert closed.status == 403, closed.body
        assert SECRET.encode() not in closed.body


def test_tokens_for_the_api_server_are_good_and_those_for_others_are_not(get_as: Callable[..., Response]) -> None:
    assert get_as(ROUTES[0], "viewer", audience="").status == 200
    assert get_as(ROUTES[0], "viewer", audience="another-service").status == 401


def test_a_token_whose_owner_is_gone_is_refused(cluster: Call, port: int) -> None:
    cluster("create", "serviceaccount", "leaver", "-n", NAMESPACE)
    token = cluster("create", "token", "leaver", "-n", NAMESPACE, "--audience=flywheel-reader")
    cluster("delete", "serviceaccount", "leaver", "-n", NAMESPACE)

    response = get(port, f"{BASE.format(namespace=NAMESPACE)}/trials", {"Authorization": f"Bearer {token}"})

    assert (response.status, response.reason) == (401, "Unauthorized")

"""A table of PostgreSQL becomes versions of a Dataset: unchanged rows are the same one, and what is wrong on either side is named."""

import json
from typing import Any

import pytest

from e2e import kube
from e2e.cluster import extra_images
from e2e.manifests import CONTAINER_SECURITY, POD_SECURITY
from e2e.namespace import Namespace
from e2e.tokens import certificate
from e2e.waiting import wait_until

PASSWORD = "a'password \\ of this story"
TABLE = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, size int, price numeric(8,2), placed timestamptz, late boolean)",
    "INSERT INTO orders SELECT id, id % 7, id / 4.0, '2026-01-01'::timestamptz + id * interval '1 hour', id % 3 = 0 FROM generate_series(1, 300) AS id",
    f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'",
    "GRANT SELECT ON orders TO reader",
)


def server(host: str, image: str) -> tuple[list[dict[str, Any]], str]:
    """The manifests of a server at `database`, and the certificate that it shows."""
    shown, key = certificate(host)
    named = {"metadata": {"name": "database", "labels": {"app": "database"}}}
    files = {"tls.crt": shown.decode(), "tls.key": key.decode(), "password": "unused"}
    container = {
        "name": "database",
        "image": image,
        "securityContext": CONTAINER_SECURITY,
        "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "server", "mountPath": "/server"}, {"name": "data", "mountPath": "/data"}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {**POD_SECURITY, "fsGroup": 65532},
        "containers": [container],
        "volumes": [{"name": "server", "secret": {"secretName": "database"}}, {"name": "data", "emptyDir": {}}],
    }
    ports = {"selector": {"app": "database"}, "ports": [{"port": 5432}]}
    manifests = [
        {"apiVersion": "v1", "kind": "Secret", **named, "stringData": files},
        {"apiVersion": "v1", "kind": "Service", **named, "spec": ports},
        {"apiVersion": "v1", "kind": "Pod", **named, "spec": pod},
    ]
    return manifests, shown.decode()


def login(password: str, authority: str) -> dict[str, Any]:
    keys = {"username": "reader", "password": password, "ca.crt": authority}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-db"}, "stringData": keys}


def run_sql(namespace: Namespace, *statements: str) -> None:
    words = [word for statement in statements for word in ("-c", statement)]
    namespace.kubectl(
        "exec", "database", "--", "psql", "-h", "/data", "-U", "owner", "-v", "ON_ERROR_STOP=1", "postgres", *words
    )


def check_again(namespace: Namespace) -> dict[str, Any]:
    """The status after another check, whatever it finds."""
    number = (namespace.get("fwds", "orders") or {})["status"]["check"]["number"]
    namespace.kubectl("annotate", "fwds", "orders", "--overwrite", f"flywheel.ml/check-requested=after-{number}")

    def ended() -> dict[str, Any] | None:
        status: dict[str, Any] = (namespace.get("fwds", "orders") or {})["status"]
        return status if status["check"]["number"] > number and status["check"]["result"] != "Running" else None

    return wait_until(ended, 90, lambda: json.dumps(kube.condition(namespace.get("fwds", "orders"))))


@pytest.fixture(scope="module")
def orders(namespace: Namespace) -> tuple[Namespace, str]:
    """A namespace with a checked Dataset of a table, and the authority of its server's certificate."""
    host = f"database.{namespace.name}.svc"
    manifests, authority = server(host, extra_images.ensure_image("postgres"))
    namespace.apply(*manifests, login(PASSWORD, authority))
    namespace.kubectl("wait", "pod/database", "--for=condition=Ready", "--timeout=90s")
    run_sql(namespace, *TABLE)
    place = {"engine": "PostgreSQL", "host": host, "database": "postgres", "secretName": "shop-db", "table": "orders"}
    spec = {"source": {"sql": place}, "keys": ["id"], "eventTime": "placed", "target": "late"}
    namespace.apply(
        {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Dataset", "metadata": {"name": "orders"}, "spec": spec}
    )
    namespace.wait("fwds", "orders")
    return namespace, authority


def test_versions_follow_the_rows_and_not_their_order(orders: tuple[Namespace, str]) -> None:
    namespace, _ = orders
    first = (namespace.get("fwds", "orders") or {})["status"]
    run_sql(namespace, "UPDATE orders SET size = size WHERE id < 50")  # which moves these rows to the end of the table

    again = check_again(namespace)
    run_sql(namespace, "INSERT INTO orders VALUES (301, 1, 2.50, '2026-02-01', true)")
    grown = check_again(namespace)

    assert first["rows"] == 300
    assert (again["version"], again["digest"]) == (first["version"], first["digest"])
    assert grown["rows"] == 301
    assert grown["version"] != first["version"]


def test_a_column_that_is_gone_is_named_and_nothing_shows_the_login(orders: tuple[Namespace, str]) -> None:
    namespace, _ = orders
    before = (namespace.get("fwds", "orders") or {})["status"]["version"]
    run_sql(namespace, "ALTER TABLE orders RENAME COLUMN size TO weight")

    drifted = check_again(namespace)

    assert drifted["check"]["reason"] == "MissingColumn"
    assert "'size'" in drifted["check"]["message"]
    assert drifted["version"] == before
    [pod] = kube.list_objects("pods", namespace.name, "flywheel.ml/kind=Dataset")
    containers = [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]
    mounts = {each["name"]: json.dumps(each["volumeMounts"]) for each in containers}
    assert [name for name, mounted in mounts.items() if "source-credentials" in mounted] == ["fetch"]
    said = namespace.kubectl("get", "pods,jobs,events,fwds", "--output", "yaml")
    log = namespace.kubectl("logs", pod["metadata"]["name"], "--all-containers")
    assert "of this story" not in said + log


def test_a_login_that_is_refused_is_named_and_the_version_stands(orders: tuple[Namespace, str]) -> None:
    namespace, authority = orders
    before = (namespace.get("fwds", "orders") or {})["status"]["version"]
    namespace.apply(login("another", authority))

    refused = check_again(namespace)

    assert refused["check"]["reason"] == "CredentialsRefused"
    assert "Secret 'shop-db'" in refused["check"]["message"]
    assert refused["version"] == before
    assert kube.condition(namespace.get("fwds", "orders"))["status"] == "True"

"""Who may ask a model: every route, over REST and gRPC, with no token, with every bad one and with a good one.

By Kubernetes' own tokens (spec.auth.serviceAccount), and by those of an issuer that runs in the cluster (spec.auth.jwt).
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from e2e import http_client, kube
from e2e.manifests import CONTAINER_SECURITY, POD_SECURITY
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.tokens import DISCOVERY, JWKS, Issuer, certificate

MODEL = linear([1.0, 2.0])
METADATA = "/inference.GRPCInferenceService/ServerMetadata"
SERVER = "flywheel-server"
VERSION = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: fraud}
spec: {}
---
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: fraud-1}
spec:
  model: fraud
  source: {s3: {uri: "%(uri)s"}, sha256: "%(sha256)s"}
"""
# Serves the files of a ConfigMap over TLS; in the serving image, which has Python.
ISSUER = """
import http.server, ssl
class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *words): super().__init__(*words, directory="/documents")
    def translate_path(self, path): return super().translate_path(path.replace("/.well-known/", "/"))
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/certificate/tls.crt", "/certificate/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def begun(namespace: Namespace) -> Iterator[Namespace]:
    """A verified version, and the ServiceAccount that servers run as, which has no right yet that reaches beyond the namespace."""
    namespace.apply(
        VERSION % {"uri": namespace.upload("fraud.onnx", MODEL), "sha256": hashlib.sha256(MODEL).hexdigest()}
    )
    namespace.kubectl("create", "serviceaccount", SERVER)
    account = f"--serviceaccount={namespace.name}:{SERVER}"
    namespace.kubectl("create", "rolebinding", SERVER, "--clusterrole=flywheel-server-access", account)
    for name in ("caller", "stranger"):
        namespace.kubectl("create", "serviceaccount", name)
    caller = f"--serviceaccount={namespace.name}:caller"
    namespace.kubectl("create", "rolebinding", "callers", "--clusterrole=flywheel-inference-caller", caller)
    namespace.wait("fwver", "fraud-1")
    yield namespace
    kube.kubectl("delete", "clusterrolebinding", namespace.name, "--ignore-not-found")


def service(name: str, auth: dict[str, Any]) -> dict[str, Any]:
    """An InferenceService of fraud-1."""
    kind = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "InferenceService", "metadata": {"name": name}}
    return {**kind, "spec": {"version": "fraud-1", "auth": auth}}


@pytest.fixture(scope="module")
def by_account(begun: Namespace) -> Namespace:
    begun.apply(service("by-account", {"serviceAccount": {}}))
    refused = begun.wait("fwsvc", "by-account", ready="False", reason="ReviewsForbidden")
    assert "chart's value 'namespaces'" in refused["message"]
    account = f"--serviceaccount={begun.name}:{SERVER}"
    kube.kubectl("create", "clusterrolebinding", begun.name, "--clusterrole=flywheel-server-tokens", account)
    begun.wait("fwsvc", "by-account")
    return begun


@pytest.fixture(scope="module")
def issuer(begun: Namespace) -> Issuer:
    """An issuer in the cluster, with a certificate of its own."""
    host = f"issuer.{begun.name}.svc"
    found = Issuer(f"https://{host}:8443", "fraud")
    authority, key = certificate(host)
    documents = {DISCOVERY: found.discovery(), JWKS: found.jwks()}
    begun.apply(
        *issuer_pod({path.rsplit("/", 1)[1]: json.dumps(each) for path, each in documents.items()}, authority, key)
    )
    begun.kubectl("wait", "--for=condition=Ready", "pod/issuer", "--timeout=60s")
    jwt = {"issuer": found.url, "audiences": ["fraud"], "certificateAuthority": authority.decode()}
    required = [{"name": "team", "values": ["risk"]}]
    begun.apply(service("by-jwt", {"jwt": {**jwt, "requiredClaims": required}}))
    begun.wait("fwsvc", "by-jwt")
    return found


def issuer_pod(documents: dict[str, str], authority: bytes, key: bytes) -> list[dict[str, Any]]:
    """Documents, certificate, Service and pod."""
    operator = kube.get("deployment", "flywheel-operator", "flywheel-system") or {}
    environment = operator["spec"]["template"]["spec"]["containers"][0]["env"]
    image = next(each["value"] for each in environment if each["name"] == "FLYWHEEL_SERVING_IMAGE")
    named = {"metadata": {"name": "issuer", "labels": {"app": "issuer"}}}
    container = {
        "name": "issuer",
        "image": image,
        "command": ["python3", "-c", ISSUER],
        "securityContext": CONTAINER_SECURITY,
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "documents", "mountPath": "/documents"},
            {"name": "certificate", "mountPath": "/certificate"},
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": POD_SECURITY,
        "containers": [container],
        "volumes": [
            {"name": "documents", "configMap": {"name": "issuer"}},
            {"name": "certificate", "secret": {"secretName": "issuer"}},
        ],
    }
    pair = {"tls.crt": authority.decode(), "tls.key": key.decode()}
    ports = {"selector": {"app": "issuer"}, "ports": [{"port": 8443}]}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", **named, "data": documents},
        {"apiVersion": "v1", "kind": "Secret", **named, "type": "kubernetes.io/tls", "stringData": pair},
        {"apiVersion": "v1", "kind": "Service", **named, "spec": ports},
        {"apiVersion": "v1", "kind": "Pod", **named, "spec": pod},
    ]


def answers(
    namespace: Namespace, name: str, tokens: dict[str, str], folder: Path
) -> tuple[dict[Any, int], dict[Any, str]]:
    """(sort of token, route) to status, and (sort, method) to gRPC code; the sort "none" is no token."""
    (folder / "model.onnx").write_bytes(MODEL)
    routes, methods = http_client.guarded_rest_routes(folder, name, "fraud-1"), http_client.guarded_grpc_methods()
    brought: list[tuple[str, tuple[str, ...]]] = [("none", ()), *((sort, (each,)) for sort, each in tokens.items())]
    with ExitStack() as open_:
        rest, rpc = (
            f"127.0.0.1:{open_.enter_context(kube.port_forward(f'service/{name}', port, namespace.name))}"
            for port in (8080, 8081)
        )
        statuses = {
            (sort, *route): http_client.request_rest(rest, *route, *token)[0]
            for sort, token in brought
            for route in routes
        }
        codes = {
            (sort, method): http_client.request_grpc(rpc, method, *token)[0].name
            for sort, token in brought
            for method in methods
        }
        for path in ("/v2/health/live", "/v2/health/ready", "/metrics"):
            assert http_client.request_rest(rest, "GET", path)[0] == 200
        assert http_client.request_grpc(rpc, "/grpc.health.v1.Health/Check")[0] is grpc.StatusCode.OK
    return statuses, codes


def statuses_of(statuses: dict[Any, int], sort: str) -> set[int]:
    """What a sort of token gets on all routes but those for labels."""
    return {
        status for (found, _, path), status in statuses.items() if found == sort and not http_client.is_label_path(path)
    }


def token(namespace: Namespace, account: str, audience: str) -> str:
    return namespace.kubectl("create", "token", account, f"--audience={audience}").strip()


def test_with_kubernetes_tokens(by_account: Namespace, tmp_path: Path) -> None:
    audience = f"by-account.{by_account.name}.svc"
    by_account.kubectl("create", "serviceaccount", "leaver")
    left = token(by_account, "leaver", audience)
    by_account.kubectl("delete", "serviceaccount", "leaver")
    bad = {
        **Issuer("https://kubernetes.default.svc", audience).bad_tokens(),
        "for the API server": by_account.kubectl("create", "token", "caller").strip(),
        "for another service": token(by_account, "caller", f"by-jwt.{by_account.name}.svc"),
        "of a ServiceAccount that is gone": left,
    }
    others = {"stranger": token(by_account, "stranger", audience), "caller": token(by_account, "caller", audience)}

    statuses, codes = answers(by_account, "by-account", {**bad, **others}, tmp_path)

    refused = {"none", *bad}
    assert {case: status for case, status in statuses.items() if case[0] in refused and status != 401} == {}
    assert {case: code for case, code in codes.items() if case[0] in refused and code != "UNAUTHENTICATED"} == {}
    assert {status for (sort, *_), status in statuses.items() if sort == "stranger"} == {403}
    assert {code for (sort, _), code in codes.items() if sort == "stranger"} == {"PERMISSION_DENIED"}
    assert statuses_of(statuses, "caller") <= {200, 400, 404, 405}
    assert statuses["caller", "POST", "/v2/models/by-account/feedback"] == 403
    assert statuses["caller", "GET", "/v2/models/by-account/versions/fraud-1"] == 200
    assert codes["caller", METADATA] == "OK"


def test_with_an_issuers_tokens(begun: Namespace, issuer: Issuer, tmp_path: Path) -> None:
    bad = issuer.bad_tokens()
    others = {"without the claim": issuer.token(), "good": issuer.token(team=["risk"])}

    statuses, codes = answers(begun, "by-jwt", {**bad, **others}, tmp_path)

    refused = {"none", *bad}
    assert {case: status for case, status in statuses.items() if case[0] in refused and status != 401} == {}
    assert {case: code for case, code in codes.items() if case[0] in refused and code != "UNAUTHENTICATED"} == {}
    assert {status for (sort, *_), status in statuses.items() if sort == "without the claim"} == {403}
    assert statuses_of(statuses, "good") <= {200, 400, 404, 405}
    assert statuses["good", "POST", "/v2/models/by-jwt/feedback"] == 403
    assert statuses["good", "GET", "/v2/models/by-jwt/versions/fraud-1"] == 200
    assert codes["good", METADATA] == "OK"


def test_a_server_without_it_has_no_token_of_its_own(begun: Namespace, issuer: Issuer) -> None:
    [pod] = kube.list_objects("pods", begun.name, "flywheel.ml/name=by-jwt")

    assert pod["spec"]["serviceAccountName"] == "by-jwt"
    assert not [each for each in pod["spec"]["volumes"] if "projected" in each]

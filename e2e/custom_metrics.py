"""The API custom.metrics.k8s.io on this cluster, answered from the servers' own /metrics.

What prometheus-adapter does with a Prometheus behind it, in small: a gauge is its value, `x` of a counter `x_total` is its increase per
second. It runs on the host, as this cluster's metrics-server does, behind a Service without a selector.
"""

import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from prometheus_client.parser import text_string_to_metric_families

from e2e import kube
from e2e.cluster.certificates import EC_KEY, openssl
from e2e.cluster.network import NODE_ADDRESS
from e2e.namespace import Namespace
from e2e.waiting import wait_until

GROUP, VERSION = "custom.metrics.k8s.io", "v1beta2"
NAME = "custom-metrics"
WINDOW_SECONDS = 2.0  # seconds between the two looks that make a rate


@contextmanager
def custom_metrics_api(namespace: Namespace, folder: Path) -> Iterator[None]:
    """The cluster has the API meanwhile; its certificate is made in `folder`."""
    certificate, key = folder / "metrics.crt", folder / "metrics.key"
    openssl("req", "-x509", *EC_KEY, "-days", "1", "-subj", f"/CN={NAME}", "-keyout", key, "-out", certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer((NODE_ADDRESS, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    namespace.apply(*_front(server.server_port))
    kube.apply(_api_service(namespace.name), namespace.name)
    try:
        wait_until(_is_available, 60, f"{VERSION}.{GROUP} never became available")
        yield
    finally:
        kube.kubectl("delete", "apiservice", f"{VERSION}.{GROUP}", "--ignore-not-found")
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """`/apis/custom.metrics.k8s.io/v1beta2/namespaces/<namespace>/pods/*/<metric>?labelSelector=…`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        parts = unquote(asked.path).strip("/").split("/")  # the controller writes the star as %2A
        if parts == ["apis", GROUP, VERSION]:
            self._answer(
                {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}", "resources": []}
            )
        elif len(parts) == 8 and parts[:2] == ["apis", GROUP] and parts[5:7] == ["pods", "*"]:
            selector = parse_qs(asked.query).get("labelSelector", [""])[0]
            self._answer(metric_values(parts[4], selector, parts[7]))
        else:
            self.send_error(404)

    def _answer(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def metric_values(namespace: str, selector: str, metric: str) -> dict[str, Any]:
    """A MetricValueList: one value for each pod that answers."""
    pods = {
        str(pod["metadata"]["name"]): str(pod["status"]["podIP"])
        for pod in kube.list_objects("pods", namespace, selector)
        if pod["status"].get("podIP") and pod["status"].get("phase") == "Running"
    }
    items = []
    for name, value in _numbers(pods, metric).items():
        described = {"kind": "Pod", "namespace": namespace, "name": name, "apiVersion": "/v1"}
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        items.append(
            {
                "describedObject": described,
                "metric": {"name": metric},
                "timestamp": stamp,
                "value": f"{int(1000 * value)}m",
            }
        )
    return {"kind": "MetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": items}


def _numbers(pods: dict[str, str], metric: str) -> dict[str, float]:
    began, first = time.monotonic(), {name: _samples(address) for name, address in pods.items()}
    gauges = {name: samples[metric] for name, samples in first.items() if metric in samples}
    if gauges:
        return gauges
    time.sleep(WINDOW_SECONDS)
    second = {name: _samples(address) for name, address in pods.items()}
    took = time.monotonic() - began
    counter = f"{metric}_total"
    return {
        name: (second[name][counter] - first[name][counter]) / took
        for name in pods
        if counter in first[name] and counter in second[name]
    }


def _samples(address: str) -> dict[str, float]:
    """Every series of one pod, summed over its labels; nothing of one that does not answer."""
    try:
        with urllib.request.urlopen(f"http://{address}:8080/metrics", timeout=5) as response:
            text = response.read().decode()
    except OSError:
        return {}
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def _front(port: int) -> tuple[dict[str, Any], dict[str, Any]]:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port, "protocol": "TCP"}]},
    }
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{NAME}-host", "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
    }
    return service, slice_


def _api_service(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{VERSION}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": VERSION,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,  # a certificate of this minute
            "service": {"name": NAME, "namespace": namespace, "port": 443},
        },
    }


def _is_available() -> bool:
    text = kube.kubectl("get", "apiservice", f"{VERSION}.{GROUP}", "--output", "json")
    return kube.condition(json.loads(text), "Available").get("status") == "True"

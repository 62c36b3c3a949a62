"""DNS, metrics and volumes: processes of the host, so that a cluster without a registry needs no image for them."""

import base64
import subprocess
import sys
from pathlib import Path
from string import Template

from e2e.cluster import golang
from e2e.cluster.certificates import Identity
from e2e.cluster.files import write_if_changed
from e2e.cluster.network import NODE_ADDRESS
from e2e.cluster.paths import PKI, STATE
from e2e.cluster.progress import Failure

KUBECONFIGS = STATE / "kubeconfigs"
METRICS_NAMES = ("DNS:metrics-server.kube-system.svc", f"IP:{NODE_ADDRESS}")
IDENTITIES = (
    Identity("coredns", "/CN=system:coredns"),
    Identity("metrics-server", "/CN=system:metrics-server", METRICS_NAMES),
    Identity("volumes", "/CN=flywheel-dev-volumes"),
)
# A name that is asked for before its Service exists may be cached for a second and no longer: tests create and ask at once.
COREFILE = """\
.:53 {
  bind %(address)s
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig %(kubeconfig)s flywheel
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
  }
  cache 5 {
    denial 1000 1
  }
%(forward)s}
"""
RESOLV_CONF = Path("/etc/resolv.conf")


def prepare() -> None:
    has_resolver = RESOLV_CONF.exists() and "nameserver" in RESOLV_CONF.read_text()
    forward = f"  forward . {RESOLV_CONF}\n" if has_resolver else ""
    text = COREFILE % {"address": NODE_ADDRESS, "kubeconfig": KUBECONFIGS / "coredns", "forward": forward}
    write_if_changed(STATE / "Corefile", text)


def coredns_command() -> list[str]:
    return [str(golang.binary(golang.COREDNS)), f"-conf={STATE}/Corefile"]


def metrics_command() -> list[str]:
    kubeconfig = KUBECONFIGS / "metrics-server"
    return [
        str(golang.binary(golang.METRICS_SERVER)), f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}", f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={NODE_ADDRESS}", "--secure-port=4443", f"--cert-dir={STATE}",
        f"--tls-cert-file={PKI}/metrics-server.crt", f"--tls-private-key-file={PKI}/metrics-server.key",
        "--kubelet-preferred-address-types=InternalIP", f"--kubelet-certificate-authority={PKI}/ca.crt",
        "--metric-resolution=10s", "--kubelet-request-timeout=5s",  # the second must be below the first
    ]  # fmt: skip


def volumes_command() -> list[str]:
    return [sys.executable, "-m", "e2e.cluster.volumes"]


def apply(kubeconfig: Path) -> None:
    ca = base64.b64encode((PKI / "ca.crt").read_bytes()).decode()
    template = Template((Path(__file__).parent / "addons.yaml").read_text())
    manifest = template.substitute(NODE_ADDRESS=NODE_ADDRESS, CA=ca)
    done = subprocess.run(
        [golang.kubectl(), "--kubeconfig", kubeconfig, f"--cache-dir={STATE}/kubectl-cache",
         "apply", "--server-side", "--force-conflicts", "-f", "-"],
        input=manifest, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failure(
            f"The API server refused the cluster's own objects (e2e/cluster/addons.yaml): {done.stderr.strip()}"
        )

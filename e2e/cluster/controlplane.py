"""etcd and kube-apiserver: what the native cluster and the tests' API server have in common."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

from e2e.cluster import certificates, golang, processes
from e2e.cluster.certificates import Identity
from e2e.cluster.files import write_if_changed
from e2e.cluster.progress import Failure
from e2e.waiting import wait_until

# Every request but the health checks, with user, verb, object and times. The first stage is left out: it says no more.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/readyz*", "/livez*", "/healthz*"]
- level: Metadata
"""
FRONT_PROXY = "front-proxy"


@dataclass(frozen=True)
class ControlPlane:
    """`folder` is private (0700): etcd listens on sockets in it, so no other user of the machine can read the data."""

    folder: Path
    pki: Path
    logs: Path
    audit_log: Path
    address: str
    port: int

    @property
    def server(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def pids(self) -> Path:
        return self.folder / "pids"


def identities(address: str) -> list[Identity]:
    names = [f"DNS:{name}" for name in ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")]
    addresses = [f"IP:{known}" for known in dict.fromkeys(("127.0.0.1", "10.96.0.1", address))]
    return [
        Identity("apiserver", "/CN=kube-apiserver", (*names, *addresses)),
        Identity("admin", "/O=system:masters/CN=flywheel-admin"),
        Identity(FRONT_PROXY, f"/CN={FRONT_PROXY}"),
    ]


def prepare(plane: ControlPlane, further: Sequence[Identity] = ()) -> None:
    plane.folder.mkdir(parents=True, exist_ok=True)
    plane.folder.chmod(0o700)
    plane.audit_log.parent.mkdir(parents=True, exist_ok=True)
    certificates.make(plane.pki, [*identities(plane.address), *further])
    write_if_changed(plane.folder / "audit-policy.yaml", AUDIT_POLICY)


def etcd_command(plane: ControlPlane) -> list[str]:
    # The addresses are sockets relative to the working directory: no port to collide, and no limit on the path's length.
    return [
        str(golang.binary(golang.KUBE, "etcd")), f"--data-dir={plane.folder / 'etcd'}",
        "--listen-client-urls=unix://clients:1", "--advertise-client-urls=unix://clients:1",
        "--listen-peer-urls=unix://peers:1", "--initial-advertise-peer-urls=unix://peers:1",
        "--initial-cluster=default=unix://peers:1", "--unsafe-no-fsync",
    ]  # fmt: skip


def apiserver_command(plane: ControlPlane, further: Sequence[str] = ()) -> list[str]:
    pki = plane.pki
    return [
        str(golang.binary(golang.KUBE, "kube-apiserver")), "--etcd-servers=unix://clients:1",
        f"--bind-address={plane.address}", f"--advertise-address={plane.address}", f"--secure-port={plane.port}",
        f"--cert-dir={plane.folder}", "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true",
        f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
        f"--service-account-key-file={pki}/service-accounts.pub",
        f"--service-account-signing-key-file={pki}/service-accounts.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--requestheader-client-ca-file={pki}/ca.crt", f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki}/{FRONT_PROXY}.crt", f"--proxy-client-key-file={pki}/{FRONT_PROXY}.key",
        f"--audit-policy-file={plane.folder}/audit-policy.yaml", f"--audit-log-path={plane.audit_log}",
        "--audit-log-maxsize=100", "--audit-log-maxbackup=5", *further,
    ]  # fmt: skip


def start(plane: ControlPlane, further: Sequence[str], *, dies_with_parent: bool = False) -> None:
    commands = {"etcd": etcd_command(plane), "kube-apiserver": apiserver_command(plane, further)}
    for name, command in commands.items():
        log = plane.logs / f"{name}.log"
        processes.start(plane.pids, log, name, command, cwd=plane.folder, dies_with_parent=dies_with_parent)
    wait_until_ready(plane)


def client_context(pki: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    return context


def get(plane: ControlPlane, path: str, timeout: float = 3) -> tuple[int, bytes]:
    """A GET with the administrator's certificate; (0, why) if nobody answers."""
    try:
        connection = HTTPSConnection(plane.address, plane.port, timeout=timeout, context=client_context(plane.pki))
        connection.request("GET", path)
        response = connection.getresponse()
        status, body = response.status, response.read()
    except (OSError, HTTPException) as reason:
        return 0, str(reason).encode()
    connection.close()
    return status, body


def is_ready(plane: ControlPlane) -> bool:
    return get(plane, "/readyz")[0] == 200


def wait_until_ready(plane: ControlPlane, seconds: float = 60) -> None:
    def ready() -> bool:
        for part in ("etcd", "kube-apiserver"):
            if processes.running(plane.pids, part) is None:
                raise Failure(f"{part} ended while starting; correct what its log says", plane.logs / f"{part}.log")
        return is_ready(plane)

    try:
        wait_until(ready, seconds)
    except TimeoutError:
        message = f"The API server was not ready within {seconds:.0f} s"
        raise Failure(message, plane.logs / "kube-apiserver.log") from None


def stop(plane: ControlPlane) -> None:
    # The API server waits up to half a minute for its watchers; all it knows is in etcd, so it need not.
    processes.stop(plane.pids, "kube-apiserver", grace=1)
    processes.stop(plane.pids, "etcd", grace=5)

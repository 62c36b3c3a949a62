"""The native cluster: one for the machine, shared by its checkouts.

`up` starts whatever part is not alive and leaves the others alone; so the first start, a start after a killed `up` and one
after a reboot are the same code.
"""

import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import addons, archive, buildah, certificates, controlplane, golang, images, kubeconfig, lock, network, node, packages, processes
from e2e.cluster.certificates import Identity
from e2e.cluster.controlplane import ControlPlane
from e2e.cluster.files import remove
from e2e.cluster.places import AUDIT_LOG, CHECKOUT, KUBECONFIG, LOGS, PKI, RUNTIME, STATE
from e2e.cluster.progress import Failure, say, step

PLANE = ControlPlane(folder=STATE, pki=PKI, logs=LOGS, audit_log=AUDIT_LOG, address=network.NODE_ADDRESS, port=6443)
LOCK = Path("/run/lock/flywheel-dev.lock")
WHAT = "The native cluster"
SHARED_BY = STATE / "shared-by.json"
PARTS = (
    "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "kubelet", "kube-proxy",
    "coredns", "metrics-server", "volumes",
)  # fmt: skip
IDENTITIES = (
    Identity("kube-controller-manager", "/CN=system:kube-controller-manager"),
    Identity("kube-scheduler", "/CN=system:kube-scheduler"),
    Identity("kube-proxy", "/CN=system:kube-proxy"),
    # The API server speaks to the kubelet (logs, exec) under this name; a ClusterRoleBinding of ours would do as well.
    Identity("apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client"),
    node.KUBELET_IDENTITY,
    *addons.IDENTITIES,
)
APISERVER_FLAGS = (
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
    f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
    f"--kubelet-certificate-authority={PKI}/ca.crt",
    "--kubelet-preferred-address-types=InternalIP",  # or logs and exec look the node's name up in DNS
    "--enable-aggregator-routing=true",
)


@dataclass(frozen=True)
class Part:
    name: str
    command: Callable[[], list[str]]
    directory: Path = STATE


WORKERS = (
    Part("kube-controller-manager", lambda: controllers_command()),
    Part("kube-scheduler", lambda: scheduler_command()),
    Part("kubelet", node.kubelet_command),
    Part("kube-proxy", node.proxy_command),
    Part("coredns", addons.coredns_command),
    Part("metrics-server", addons.metrics_command),
    Part("volumes", addons.volumes_command, CHECKOUT),
)


def up() -> None:
    require_root()
    with lock.held(LOCK, WHAT):
        if not is_healthy():
            build_and_start()
        share(lambda checkouts: {*checkouts, str(CHECKOUT)})
        kubeconfig.write(KUBECONFIG, PLANE.server, PKI / "ca.crt", "admin", certificates.pair(PKI, "admin"))


def require_root() -> None:
    if os.geteuid() != 0:
        raise Failure("The native cluster needs root (containers, links, mounts); run as root, or use CLUSTER=kind with Docker")


def build_and_start() -> None:
    """One worker compiles, in the order in which binaries are needed, while Debian's packages and base image are fetched beside it."""
    with ThreadPoolExecutor(max_workers=1) as compiler, ThreadPoolExecutor(max_workers=1) as preparer:
        builds = {module: compiler.submit(golang.build, module) for module in golang.MODULES}
        try:
            packages.install()
            bases = preparer.submit(images.build_bases_natively)
            start(builds)
            bases.result()
        except BaseException:
            compiler.shutdown(cancel_futures=True)
            raise
        for build in builds.values():
            build.result()


def start(builds: dict[golang.Module, Future[Path]]) -> None:
    builds[golang.KUBE].result()
    prepare()
    with step("API server"):
        start_control_plane()
        wait_for(system_namespace_exists, 20, "The API server made no namespace kube-system within 20 s", LOGS / "kube-apiserver.log")
    builds[golang.PAUSE].result()
    start_containerd()
    builds[golang.COREDNS].result()
    builds[golang.METRICS_SERVER].result()
    # Their rights come first: metrics-server does not start without.
    addons.apply(STATE / "kubeconfigs" / "admin")
    for part in WORKERS:
        start_part(part)
    with step("node Ready"):
        wait_for(node_is_ready, 60, "The node did not become Ready within 60 s", LOGS / "kubelet.log")
    for dead in dead_parts():
        raise Failure(f"{dead} ended soon after its start; correct what its log says", LOGS / f"{dead}.log")


def prepare() -> None:
    controlplane.prepare(PLANE, IDENTITIES)
    for user in ("admin", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "metrics-server"):
        pair = certificates.pair(PKI, user)
        kubeconfig.write(STATE / "kubeconfigs" / user, PLANE.server, PKI / "ca.crt", user, pair)
    RUNTIME.mkdir(parents=True, exist_ok=True)
    network.up()
    node.prepare()
    addons.prepare()


def start_control_plane() -> None:
    """etcd runs without fsync, so a power cut can spoil its data: then the cluster begins anew instead of never."""
    try:
        controlplane.start_etcd(PLANE)
        controlplane.start_apiserver(PLANE, APISERVER_FLAGS)
        controlplane.wait_until_ready(PLANE)
    except Failure:
        data = STATE / "etcd"
        if processes.running(PLANE.pids, "etcd") or not data.exists():
            raise
        spoiled = STATE / f"etcd.spoiled-{int(time.time())}"
        say(f"etcd cannot read its data; they are kept in {spoiled} and the cluster begins anew")
        controlplane.stop(PLANE)
        data.rename(spoiled)
        controlplane.start_etcd(PLANE)
        controlplane.start_apiserver(PLANE, APISERVER_FLAGS)
        controlplane.wait_until_ready(PLANE)


def start_part(part: Part) -> None:
    environment = os.environ | {"PATH": packages.path()}
    processes.start(PLANE.pids, LOGS / f"{part.name}.log", part.name, part.command(), env=environment, cwd=part.directory)


def start_containerd() -> None:
    start_part(Part("containerd", node.containerd_command))
    wait_for(lambda: node.ctr("version").returncode == 0, 20, "containerd did not answer within 20 s", LOGS / "containerd.log")
    import_pause()


def import_pause() -> None:
    if node.PAUSE_IMAGE in node.ctr("images", "list", "--quiet").stdout.split():
        return
    written = archive.single_binary(RUNTIME / "pause.tar", node.PAUSE_IMAGE, golang.binary(golang.PAUSE))
    done = node.ctr("images", "import", str(written))
    written.unlink()
    if done.returncode != 0:
        raise Failure(f"containerd refused the pause image: {done.stderr.strip()}", LOGS / "containerd.log")


def load_images() -> dict[str, str]:
    """Brings what containerd lacks to it; returns the digest of each image by its name."""
    names = [images.current_name(image) for image in images.IMAGES_OF_OURS]
    with lock.held(RUNTIME / "images.lock", "The cluster's store of images"):
        known = node.image_digests()
        for name in names:
            if name not in known:
                import_image(name)
        known = node.image_digests()
    return {name: known[name] for name in names}


def import_image(name: str) -> None:
    archive_file = buildah.write_archive(name, RUNTIME / "image.tar")
    try:
        done = node.ctr("images", "import", "--all-platforms", str(archive_file))
    finally:
        archive_file.unlink()
    if done.returncode != 0:
        raise Failure(f"containerd refused the image {name}: {done.stderr.strip()}", LOGS / "containerd.log")


def controllers_command() -> list[str]:
    return [
        str(golang.binary(golang.KUBE, "kube-controller-manager")), "--leader-elect=false", "--secure-port=0",
        f"--kubeconfig={STATE}/kubeconfigs/kube-controller-manager", "--use-service-account-credentials",
        f"--service-account-private-key-file={PKI}/service-accounts.key", f"--root-ca-file={PKI}/ca.crt",
        f"--cluster-signing-cert-file={PKI}/ca.crt", f"--cluster-signing-key-file={PKI}/ca.key",
    ]  # fmt: skip


def scheduler_command() -> list[str]:
    return [
        str(golang.binary(golang.KUBE, "kube-scheduler")), "--leader-elect=false", "--secure-port=0",
        f"--kubeconfig={STATE}/kubeconfigs/kube-scheduler",
    ]  # fmt: skip


def dead_parts() -> list[str]:
    return [part for part in PARTS if processes.running(PLANE.pids, part) is None]


def state() -> dict[str, object]:
    dead = dead_parts()
    return {
        "ready": not dead and is_healthy(),
        "dead": dead,
        "sharedBy": json.loads(SHARED_BY.read_text()) if SHARED_BY.exists() else [],
        "logs": str(LOGS),
    }


def is_healthy() -> bool:
    return not dead_parts() and controlplane.is_ready(PLANE) and node_is_ready()


def system_namespace_exists() -> bool:
    return controlplane.get(PLANE, "/api/v1/namespaces/kube-system")[0] == 200


def node_is_ready() -> bool:
    status, body = controlplane.get(PLANE, f"/api/v1/nodes/{node.NAME}")
    conditions = json.loads(body)["status"]["conditions"] if status == 200 else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def wait_for(condition: Callable[[], bool], seconds: float, message: str, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(message, log)
        time.sleep(0.1)


def share(change: Callable[[set[str]], set[str]]) -> set[str]:
    """Who uses the cluster; a checkout that was deleted uses nothing."""
    known = set(json.loads(SHARED_BY.read_text())) if SHARED_BY.exists() else set()
    users = {path for path in change(known) if Path(path).exists()}
    if STATE.exists():
        SHARED_BY.write_text(json.dumps(sorted(users)))
    return users


def down(even_if_shared: bool = False) -> None:
    require_root()
    with lock.held(LOCK, WHAT):
        others = share(lambda checkouts: checkouts - {str(CHECKOUT)})
        KUBECONFIG.unlink(missing_ok=True)
        if others and not even_if_shared:
            say(f"The native cluster stays up for {', '.join(sorted(others))}; to end it for them too: down --force")
            return
        with step("stopping"):
            stop()


def stop() -> None:
    for part in ("kubelet", "volumes", "metrics-server", "coredns", "kube-proxy", "kube-scheduler", "kube-controller-manager"):
        processes.stop(PLANE.pids, part, grace=2)
    node.end_pods()
    processes.stop(PLANE.pids, "containerd", grace=5)
    controlplane.stop(PLANE)
    node.unmount_all()
    node.remove_control_groups()
    node.remove_fixed_places()
    network.down()
    shutil.rmtree(RUNTIME, ignore_errors=True)
    # containerd's images and the certificates stay: the next start is quick, and other checkouts' kubeconfigs remain valid.
    for data in ("etcd", "kubelet", "pod-logs", "volumes", "kubectl-cache", "shared-by.json"):
        remove(STATE / data)


def clean() -> None:
    down(even_if_shared=True)
    shutil.rmtree(STATE, ignore_errors=True)

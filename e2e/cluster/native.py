"""The native cluster: one for the machine, shared by its checkouts.

`up` starts whatever part is not alive and leaves the others alone; so the first start, a start after a killed `up` and one
after a reboot are the same code.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from e2e.cluster import (
    addons,
    certificates,
    components,
    containerd,
    controlplane,
    golang,
    images,
    kubeconfig,
    lock,
    network,
    node,
    packages,
    processes,
)
from e2e.cluster.components import PLANE
from e2e.cluster.files import remove, write_if_changed
from e2e.cluster.paths import CHECKOUT, KUBECONFIG, LOGS, PKI, RUNTIME, STATE
from e2e.cluster.progress import Failure, announce, step
from e2e.waiting import wait_until

LOCK = Path("/run/lock/flywheel-dev.lock")
WHAT = "The native cluster"
SECONDS_TO_THINK = 10
SHARED_BY = STATE / "shared-by.json"
# containerd's images and the certificates survive `down`: the next start is quick, and kubeconfigs remain valid.
GONE_AFTER_DOWN = ("etcd", "kubelet", "pod-logs", "volumes", "kubectl-cache", "shared-by.json")


def up() -> None:
    require_root()
    with lock.exclusive_lock(LOCK, WHAT):
        if not components.are_healthy():
            build_and_start()
        elif different := components.outdated_components():
            announce(f"Another version of e2e/cluster started {', '.join(different)}; 'down' and 'up' renew them")
        share(lambda checkouts: {*checkouts, str(CHECKOUT)})
        kubeconfig.write(KUBECONFIG, PLANE.server, PKI / "ca.crt", "admin", certificates.pair(PKI, "admin"))


def require_root() -> None:
    if os.geteuid() != 0:
        raise Failure("The native cluster needs root (containers, links, mounts); run as root, or use CLUSTER=kind")


def build_and_start() -> None:
    """One worker compiles, in the order in which binaries are needed; Debian's packages and base image come beside it."""
    with ThreadPoolExecutor(max_workers=1) as compiler, ThreadPoolExecutor(max_workers=1) as preparer:
        builds = {module: compiler.submit(golang.build, module) for module in golang.MODULES}
        try:
            packages.install()
            bases = preparer.submit(images.build_bases_natively)
            start(builds)
            for build in builds.values():
                build.result()
            bases.result()
        except BaseException:
            compiler.shutdown(wait=False, cancel_futures=True)
            raise


def start(builds: dict[golang.Module, Future[Path]]) -> None:
    builds[golang.KUBE].result()
    prepare()
    with step("API server"):
        start_control_plane()
        log = LOGS / "kube-apiserver.log"
        wait_for(
            components.system_namespace_exists, 20, "The API server made no namespace kube-system within 20 s", log
        )
    builds[golang.PAUSE].result()
    start_containerd()
    for module in (golang.COREDNS, golang.METRICS_SERVER):
        builds[module].result()
    # Their rights come first: metrics-server does not start without.
    addons.apply(STATE / "kubeconfigs" / "admin")
    start_workers()


def prepare() -> None:
    alive = len(components.dead_components()) < len(components.COMPONENTS)
    if alive and not certificates.are_made(PKI, [*controlplane.identities(PLANE.address), *components.IDENTITIES]):
        raise Failure(
            "The running cluster was started by another version of e2e/cluster; run 'down --force', then 'up'"
        )
    controlplane.prepare(PLANE, components.IDENTITIES)
    for user in components.USERS:
        path = STATE / "kubeconfigs" / user
        kubeconfig.write(path, PLANE.server, PKI / "ca.crt", user, certificates.pair(PKI, user))
    RUNTIME.mkdir(parents=True, exist_ok=True)
    network.up()
    containerd.prepare()
    node.prepare()
    addons.prepare()


def start_control_plane() -> None:
    """etcd runs without fsync, so a power cut can spoil its data: then the cluster begins anew instead of never."""
    try:
        controlplane.start(PLANE, components.APISERVER_FLAGS)
    except Failure:
        data = STATE / "etcd"
        if processes.running(PLANE.pids, "etcd") or not data.exists():
            raise
        spoiled = STATE / f"etcd.spoiled-{int(time.time())}"
        announce(f"etcd cannot read its data; they are kept in {spoiled} and the cluster begins anew")
        controlplane.stop(PLANE)
        data.rename(spoiled)
        controlplane.start(PLANE, components.APISERVER_FLAGS)


def start_containerd() -> None:
    components.start(components.CONTAINERD)
    wait_for(containerd.is_answering, 20, "containerd did not answer within 20 s", containerd.LOG)
    containerd.import_pause()


def start_workers() -> None:
    kubelet_was_dead = "kubelet" in components.dead_components()
    # The API server tells times in whole seconds.
    begin = datetime.now(UTC).replace(microsecond=0) if kubelet_was_dead else components.LONG_AGO
    for part in components.WORKERS:
        components.start(part)
    with step("node Ready"):
        log = LOGS / "kubelet.log"
        wait_for(lambda: components.node_is_ready(begin), 60, "The node did not become Ready within 60 s", log)
    for dead in components.dead_components():
        raise Failure(f"{dead} ended soon after its start; correct what its log says", LOGS / f"{dead}.log")


def wait_for(condition: Callable[[], bool], seconds: float, message: str, log: Path) -> None:
    try:
        wait_until(condition, seconds)
    except TimeoutError:
        raise Failure(message, log) from None


def state() -> dict[str, object]:
    return {
        "ready": components.are_healthy(),
        "dead": components.dead_components(),
        "sharedBy": sorted(shared_by()),
        "logs": str(LOGS),
    }


def shared_by() -> set[str]:
    """The checkouts that use the cluster; one that was deleted uses nothing."""
    known = json.loads(SHARED_BY.read_text()) if SHARED_BY.exists() else []
    return {path for path in known if Path(path).exists()}


def share(change: Callable[[set[str]], set[str]]) -> set[str]:
    users = change(shared_by())
    if STATE.exists():
        write_if_changed(SHARED_BY, json.dumps(sorted(users)))
    return users


def down(even_if_shared: bool = False) -> None:
    require_root()
    with lock.exclusive_lock(LOCK, WHAT):
        others = share(lambda checkouts: checkouts - {str(CHECKOUT)})
        KUBECONFIG.unlink(missing_ok=True)
        if others and not even_if_shared:
            announce(
                f"The native cluster stays up for {', '.join(sorted(others))}; to end it for them too: down --force"
            )
            return
        if others:
            warn_others(others)
        with step("stopping the cluster"):
            stop()


def warn_others(others: set[str]) -> None:
    """`--force` takes what others run: it says what that is, and leaves a moment for Ctrl-C."""
    kubeconfig_of_admin = ["--kubeconfig", str(STATE / "kubeconfigs" / "admin"), f"--cache-dir={STATE}/kubectl-cache"]
    words = ["get", "pods", "--all-namespaces", "--no-headers", "--request-timeout=3s"]
    done = subprocess.run([golang.kubectl(), *kubeconfig_of_admin, *words], capture_output=True, text=True)
    count = len(done.stdout.splitlines())
    announce(
        f"Ending the cluster under {', '.join(sorted(others))}: {count} pods, their logs and volumes; Ctrl-C within {SECONDS_TO_THINK} s"
    )
    time.sleep(SECONDS_TO_THINK)


def stop() -> None:
    for part in reversed(components.WORKERS):
        processes.stop(PLANE.pids, part.name, grace=2)
    node.end_pods()
    containerd.forget_containers()
    processes.stop(PLANE.pids, "containerd", grace=5)
    controlplane.stop(PLANE)
    remove_traces()


def remove_traces() -> None:
    node.unmount_all()
    images.unmount_if_idle()
    node.remove_control_groups()
    node.remove_fixed_places()
    network.down()
    shutil.rmtree(RUNTIME, ignore_errors=True)
    for data in GONE_AFTER_DOWN:
        remove(STATE / data)


def clean() -> None:
    down(even_if_shared=True)
    shutil.rmtree(STATE, ignore_errors=True)

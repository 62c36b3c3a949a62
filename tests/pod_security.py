"""Pod Security `restricted` (Kubernetes' Pod Security Standards, "Restricted", with "Baseline" included) as a function of a pod's spec."""

from collections.abc import Iterator, Mapping
from typing import Any

Spec = Mapping[str, Any]

VOLUMES = frozenset(
    (
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    )
)
SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
    )
)


def violations(spec: Spec) -> list[str]:
    """What the admission controller would say against a pod of the namespace label `enforce: restricted`; empty if it lets it in."""
    return [*_of_pod(spec), *(found for each in containers(spec) for found in _of_container(each, spec))]


def containers(spec: Spec) -> list[Spec]:
    """All of a pod's containers, of whatever sort."""
    return [each for sort in ("initContainers", "containers", "ephemeralContainers") for each in spec.get(sort, ())]


def _of_pod(spec: Spec) -> Iterator[str]:
    yield from (f"{field} is true" for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field))
    for volume in spec.get("volumes", ()):
        yield from (f"volume {volume['name']} is a {sort}" for sort in set(volume) - {"name"} - VOLUMES)
    security = spec.get("securityContext", {})
    yield from (f"sysctl {each['name']}" for each in security.get("sysctls", ()) if each["name"] not in SYSCTLS)
    if security.get("runAsUser") == 0:
        yield "the pod runs as root"


def _of_container(container: Spec, spec: Spec) -> Iterator[str]:
    name, own, pod = container["name"], container.get("securityContext", {}), spec.get("securityContext", {})
    capabilities = own.get("capabilities", {})
    both = {**pod, **own}
    broken = {
        "is privileged": own.get("privileged"),
        "may escalate its privileges": own.get("allowPrivilegeEscalation") is not False,
        "keeps capabilities": "ALL" not in capabilities.get("drop", ()),
        "adds capabilities": set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"},
        "may run as root": both.get("runAsNonRoot") is not True,
        "runs as root": own.get("runAsUser") == 0,
        "has no seccomp profile": both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"),
        "has another procMount": own.get("procMount", "Default") != "Default",
        "uses ports of the host": any(port.get("hostPort") for port in container.get("ports", ())),
        "sets SELinux or Windows options": both.get("seLinuxOptions") or both.get("windowsOptions"),
    }
    yield from (f"container {name} {what}" for what, is_so in broken.items() if is_so)

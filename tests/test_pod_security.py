"""The rules of tests/pod_security.py catch what they should, so that a test that relies on them can fail."""

from copy import deepcopy
from typing import Any

import pytest

from tests.pod_security import violations

GOOD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {"name": "main", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    ],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}


def test_a_good_pod_is_let_in() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize(
    ("path", "value", "finding"),
    [
        (("hostNetwork",), True, "hostNetwork is true"),
        (("hostPID",), True, "hostPID is true"),
        (("volumes", 0), {"name": "disk", "hostPath": {"path": "/"}}, "volume disk is a hostPath"),
        (("securityContext", "runAsUser"), 0, "the pod runs as root"),
        (("securityContext", "runAsNonRoot"), False, "container main may run as root"),
        (("securityContext", "seccompProfile"), {"type": "Unconfined"}, "container main has no seccomp profile"),
        (("securityContext", "sysctls"), [{"name": "kernel.msgmax", "value": "1"}], "sysctl kernel.msgmax"),
        (("containers", 0, "securityContext", "privileged"), True, "container main is privileged"),
        (("containers", 0, "securityContext", "runAsNonRoot"), False, "container main may run as root"),
        (("containers", 0, "securityContext", "capabilities"), {}, "container main keeps capabilities"),
        (("containers", 0, "securityContext", "capabilities", "add"), ["SYS_PTRACE"], "container main adds capabilities"),
        (("containers", 0, "ports"), [{"containerPort": 1, "hostPort": 1}], "container main uses ports of the host"),
        (("initContainers",), [{"name": "first", "securityContext": {}}], "container first may escalate its privileges"),
    ],
)  # fmt: skip
def test_each_rule_is_seen_to_be_broken(path: tuple[Any, ...], value: object, finding: str) -> None:
    pod: Any = deepcopy(GOOD)
    place = pod
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value

    assert finding in violations(pod)

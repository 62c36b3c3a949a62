"""The chart's policies and roles in one namespace of an API server, for the modules that ask it as various users."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import yaml

from e2e.cluster import golang
from e2e.waiting import wait_until
from tests.apiserver.manifests import Kubectl

CHART = Path(__file__).resolve().parents[2] / "charts" / "flywheel"
KINDS = {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
ROLES = {"flywheel-approver", "flywheel-edit", "flywheel-view"}
OPERATOR = "system:serviceaccount:flywheel-system:flywheel-operator"
Run = Callable[..., CompletedProcess[str]]


@contextmanager
def policies_in(namespace: str, kubectl: Kubectl, users: Mapping[str, tuple[str, ...]], *values: str) -> Iterator[Run]:
    """Yield kubectl in a new namespace where the policies are in force and each user has these ClusterRoles; remove what is the cluster's."""

    def run(*words: str, stdin: str = "") -> CompletedProcess[str]:
        return kubectl("--namespace", namespace, *words, stdin=stdin)

    def must(*words: str, stdin: str = "") -> None:
        done = run(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr

    objects = yaml.safe_dump_all(chart_objects(f"watchNamespaces={{{namespace}}}", *values))
    must("create", "namespace", namespace)
    must("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=objects)
    for user, role in ((user, role) for user, roles in users.items() for role in roles):
        name = f"{user}-{role}".replace(":", "-")
        must("create", "rolebinding", name, f"--clusterrole={role}", f"--user={user}")
    try:
        wait_until(lambda: policies_are_known(run), 60, "the API server does not apply the policies")
        yield run
    finally:
        run("delete", "-f", "-", stdin=objects)


def chart_objects(*values: str) -> list[dict[str, object]]:
    """Return the policies and the roles of users, rendered with these values."""
    words = [word for value in values for word in ("--set", value)]
    command = [str(golang.build(golang.HELM)), "template", "flywheel", str(CHART), "--namespace", "flywheel-system"]
    text = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=True).stdout
    objects = [each for each in yaml.safe_load_all(text) if each]
    return [each for each in objects if each["kind"] in KINDS or each["metadata"]["name"] in ROLES]


def policies_are_known(run: Run) -> bool:
    """Whether each policy refuses what it should; they come into force one after the other, within seconds."""
    meta = {"generateName": "probe-", "labels": {"flywheel.ml/uid": "probe"}}
    container = {"name": "main", "image": "probe"}
    source = {"s3": {"uri": "s3://a/b", "secretName": "flywheel-store"}}
    artifact = {"artifact": {"digest": "sha256:" + "a" * 64}}
    approval = {"by": "other", "digest": "sha256:" + "a" * 64, "reason": "probe"}
    probes: tuple[dict[str, object], ...] = (
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}},
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": meta,
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
        },
        resource("Dataset", {"source": source}),
        resource("Dataset", {"source": {"s3": {"uri": "s3://a/b"}}, "placement": {"tolerations": [{"operator": "Exists"}]}}),
        resource("ModelVersion", {"model": "a", "source": artifact, "approval": approval}),
    )  # fmt: skip
    # A dry run creates no pod, so it needs no policy for pods.
    tries = (("-f", "-") if "generateName" in str(each) else ("--dry-run=server", "-f", "-") for each in probes)
    return all(
        run("create", *words, stdin=yaml.safe_dump(each)).returncode for words, each in zip(tries, probes, strict=True)
    )


def resource(kind: str, spec: Mapping[str, object], name: str = "probe") -> dict[str, object]:
    """Return a manifest of Flywheel's."""
    return {"apiVersion": "flywheel.ml/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}

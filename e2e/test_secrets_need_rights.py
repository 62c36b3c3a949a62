"""A tenant with the chart's edit role gets a Secret to a pod only if he may read it himself; the refusal names the Secret."""

import json
from typing import Any

import pytest

from e2e.bad_input import resource
from e2e.kube import KubectlFailed
from e2e.namespace import Namespace

REFUSED = "'tenant' may not get Secret '%s', and so may not have it given to a pod"


@pytest.fixture(scope="module")
def team(namespace: Namespace) -> Namespace:
    """The tenant may read Secret `mine`, and Secret `payroll` is a colleague's, which a Dataset of the administrator's names."""
    for role in ("flywheel-edit", "flywheel-view"):
        namespace.kubectl("create", "rolebinding", role, f"--clusterrole={role}", "--user=tenant")
    namespace.kubectl("create", "role", "mine", "--verb=get", "--resource=secrets", "--resource-name=mine")
    namespace.kubectl("create", "rolebinding", "mine", "--role=mine", "--user=tenant")
    for name in ("mine", "payroll"):
        namespace.kubectl("create", "secret", "generic", name, "--from-literal=token=x")
    namespace.apply(trained_with("payroll", "theirs"))
    return namespace


def trained_with(secret: str, name: str = "search") -> dict[str, Any]:
    """An Experiment whose container gets a Secret as a variable."""
    env = [{"name": "TOKEN", "secret": {"name": secret, "key": "token"}}]
    trainer = {"container": {"image": "example.org/trainer", "env": env}}
    return resource("Experiment", name, {"dataset": "none", "objective": {"metric": "f1"}, "trainer": trainer})


def apply(team: Namespace, manifest: dict[str, Any]) -> None:
    team.kubectl("apply", "--as", "tenant", "--server-side", "--filename", "-", stdin=json.dumps(manifest))


def test_his_own_secret_is_accepted(team: Namespace) -> None:
    apply(team, trained_with("mine"))

    assert team.get("fwexp", "search") is not None


@pytest.mark.parametrize("secret", ["payroll", "none-such"])
def test_a_secret_that_he_may_not_read_is_refused(team: Namespace, secret: str) -> None:
    with pytest.raises(KubectlFailed, match=REFUSED % secret):
        apply(team, trained_with(secret, "stolen"))


def test_the_stores_secret_is_refused_for_everybody(team: Namespace) -> None:
    with pytest.raises(KubectlFailed, match="Secret 'flywheel-store' is the installation's own"):
        team.apply(trained_with("flywheel-store", "stolen"))


def test_what_a_colleague_does_with_his_secret_is_not_changed(team: Namespace) -> None:
    patch = ("patch", "fwexp", "theirs", "--as", "tenant", "--type=merge", "--patch")

    with pytest.raises(KubectlFailed, match=REFUSED % "payroll"):
        team.kubectl(*patch, '{"spec": {"parallelism": 3}}')
    team.kubectl(*patch, '{"metadata": {"labels": {"seen": "by-tenant"}}}')


def test_the_operator_writes_the_status_of_what_names_a_secret(team: Namespace) -> None:
    condition = team.wait("fwexp", "theirs", ready="False")

    assert "Waiting for Dataset 'none'" in condition["message"]

"""What `flywheel doctor` says of the reader is what the commands that read would meet: its pods, the way to it, and this user's token."""

from collections.abc import Mapping

import pytest

from flywheel.cli.connection import Connection
from flywheel.cli.doctor.inspection import Finding, Installation
from flywheel.cli.doctor.server_checks import check_reader
from tests.client.local_cluster import USER_TOKEN, LocalCluster, Reply, reader_error, status

TRIALS = "/v1/namespaces/shop/trials"
NAME = {"metadata": {"name": "flywheel-reader"}}


@pytest.fixture(autouse=True)
def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLYWHEEL_READER_URL", "FLYWHEEL_SERVICE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)


def check(
    cluster: LocalCluster, *, token: str | None = USER_TOKEN, routes: Mapping[str, Reply] | None = None
) -> Finding:
    """The finding in an installation whose reader is available and lists trials, but for what `routes` has."""
    cluster.add("deployments", {**NAME, "status": {"availableReplicas": 1}})
    cluster.reader = {"/readyz": Reply(b"ok"), TRIALS: Reply({"items": [], "next": None}), **(routes or {})}
    (found,) = check_reader(Installation(Connection(cluster.client(token), "shop"), "flywheel-system"))
    return found


def test_a_reader_that_lists_trials_is_good(cluster: LocalCluster) -> None:
    found = check(cluster)

    assert (found.state, "you may list the trials of namespace 'shop'" in found.message) == ("good", True)
    assert cluster.calls[-1].query == [("limit", "1")]


@pytest.mark.parametrize(
    ("path", "reply", "sentence"),
    [
        pytest.param(TRIALS, reader_error(403, "Forbidden", "you may not list"), "in namespace 'shop': you may not list", id="no right"),
        pytest.param(TRIALS, reader_error(404, "NotFound", "the reader has no key"), "the reader has no key", id="no key of the namespace"),
        pytest.param(TRIALS, reader_error(503, "StoreUnreachable", "the store is away"), "the store is away", id="no store"),
        pytest.param("/readyz", Reply(b"starting", 503), "the reader is not ready (HTTP 503): starting", id="not ready"),
        pytest.param("/readyz", status(403, "Forbidden", "services/proxy"), "you may not reach the reader through the API server's proxy", id="no way"),
    ],
)  # fmt: skip
def test_a_user_who_can_read_nothing_learns_why(cluster: LocalCluster, path: str, reply: Reply, sentence: str) -> None:
    found = check(cluster, routes={path: reply})

    assert found.state == "bad"
    assert sentence in found.message


def test_a_kubeconfig_without_a_token_is_told_how_to_get_one(cluster: LocalCluster) -> None:
    found = check(cluster, token=None)

    assert found.state == "unknown"  # nothing is broken, but nothing was checked
    assert "'export FLYWHEEL_SERVICE_ACCOUNT=shop/NAME'" in found.message
    assert "--clusterrole=flywheel-data-reader --serviceaccount=shop:NAME -n shop" in found.message


def test_the_service_account_of_the_commands_is_used(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_SERVICE_ACCOUNT", "science")

    assert check(cluster, token=None).state == "good"
    assert cluster.calls[-1].headers["X-Flywheel-Authorization"] == "Bearer shop/science for flywheel-reader"


def test_the_address_of_the_commands_is_used(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.api[TRIALS] = Reply({"items": [], "next": None})
    monkeypatch.setenv("FLYWHEEL_READER_URL", cluster.url)

    assert check(cluster).state == "good"
    assert cluster.calls[-1].path == TRIALS


@pytest.mark.parametrize(("has_service", "state"), [(False, "good"), (True, "bad")])
def test_a_reader_that_is_off_on_purpose_is_not_broken(cluster: LocalCluster, has_service: bool, state: str) -> None:
    if has_service:
        cluster.add("services", NAME)
    (found,) = check_reader(Installation(Connection(cluster.client(), "shop"), "flywheel-system"))

    assert found.state == state
    assert "trials, logs and data cannot be read" in found.message

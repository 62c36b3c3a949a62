"""Decisions by the command on a real API server with the chart's policies: whose name they are in, and who may not make them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flywheel.cli import main
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import configuration
from flywheel.core.resource.api import EXPERIMENT, MODEL, MODEL_VERSION, TRAINING_RUN, Api, Reference
from tests.apiserver.manifests import Kubectl
from tests.apiserver.policies import Run, policies_in
from tests.cli.sample_namespace import AT, condition

pytestmark = pytest.mark.apiserver

NAMESPACE = "decisions"
DIGEST = "sha256:" + "a" * 64
VERIFIED = {
    "digest": DIGEST,
    "verifiedAt": AT,
    "conditions": [condition("Ready", "True", "Verified", "It was loaded and answered.")],
}
Flywheel = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def team(installed: Kubectl) -> Iterator[Run]:
    with policies_in(NAMESPACE, installed, {"jane": ("flywheel-approver", "flywheel-view")}) as run:
        yield run


@pytest.fixture(scope="module")
def client(team: Run, apiserver: Path) -> Client:
    """The API server with a model of three versions, which was promoted twice."""
    found = Client(configuration({"KUBECONFIG": str(apiserver)}))
    for number in (1, 2, 3):
        spec = {"model": "delay", "source": {"artifact": {"digest": DIGEST}}}
        put(found, MODEL_VERSION, f"delay-{number}", spec, VERIFIED)
    history = [{"version": f"delay-{number}", "since": AT, "reason": "Better"} for number in (2, 1)]
    put(found, MODEL, "delay", {"promotion": "Approval"}, {"champion": "delay-2", "history": history})
    put(found, MODEL, "other", {}, {})
    put(found, TRAINING_RUN, "run-1", {"pipeline": "monthly"}, {})
    put(found, EXPERIMENT, "search", {"dataset": "flights", "trainer": {"sklearn": {}}}, {})
    return found


def put(client: Client, api: Api, name: str, spec: dict[str, Any], status: dict[str, Any]) -> None:
    metadata = {"namespace": NAMESPACE}
    client.apply(api, api.manifest(name, metadata=metadata, spec=spec), "argocd-controller")
    client.apply(api, api.manifest(name, metadata=metadata, status=status), "flywheel", "status")


@pytest.fixture
def flywheel(
    client: Client, apiserver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Flywheel:
    monkeypatch.setenv("KUBECONFIG", str(apiserver))

    def call(*words: str) -> tuple[int, str]:
        code = main([*words, "--namespace", NAMESPACE])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return call


def field(client: Client, api: Api, name: str, key: str) -> Any:
    return (client.get(Reference(api, NAMESPACE, name)) or {})["spec"].get(key)


def test_an_approval_is_in_the_name_of_who_gives_it(flywheel: Flywheel, client: Client) -> None:
    code, printed = flywheel("approve", "delay-3", "--reason", "ticket 214")

    approval = field(client, MODEL_VERSION, "delay-3", "approval")
    assert code == 0, printed
    assert approval["digest"] == DIGEST
    assert approval["reason"] == "ticket 214"
    assert f"is approved by '{approval['by']}'" in printed


def test_a_rollback_pins_the_champion_of_before_and_warns_of_git(flywheel: Flywheel, client: Client) -> None:
    code, printed = flywheel("rollback", "delay")

    assert code == 0, printed
    assert field(client, MODEL, "delay", "champion") == "delay-1"
    assert "pinned to 'delay-1', before it was 'delay-2'" in printed
    assert "Warning: Argo CD applies Model 'delay', and sets spec.champion back" in printed


def test_the_command_is_a_field_manager_of_its_own(flywheel: Flywheel, client: Client) -> None:
    assert flywheel("pin", "delay", "delay-3")[0] == 0

    model = client.get(Reference(MODEL, NAMESPACE, "delay")) or {}
    owned = {each["manager"]: each["fieldsV1"].get("f:spec", {}) for each in model["metadata"]["managedFields"]}
    assert list(owned["flywheel-cli"]) == ["f:champion"]
    assert "f:champion" not in owned["argocd-controller"]


def test_a_pin_can_be_unset(flywheel: Flywheel, client: Client) -> None:
    flywheel("pin", "delay", "delay-3")

    assert flywheel("pin", "delay", "--unset")[0] == 0
    assert field(client, MODEL, "delay", "champion") is None


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        pytest.param(
            ("pin", "other", "delay-1"), 1, "is of Model 'delay', not of 'other'", id="another model's version"
        ),
        pytest.param(("pin", "delay", "delay-9"), 1, "did you mean 'delay-3'?", id="a version that does not exist"),
        pytest.param(("pin", "delay"), 2, "give a version to pin, or --unset", id="nothing to pin"),
        pytest.param(("rollback", "other"), 1, "Model 'other' has no champion", id="nothing to go back to"),
        pytest.param(
            ("cancel", "model/delay"), 2, "name a TrainingRun or Experiment or", id="what cannot be cancelled"
        ),
    ],
)
def test_a_refusal_says_why(flywheel: Flywheel, words: tuple[str, ...], code: int, sentence: str) -> None:
    ended, printed = flywheel(*words)

    assert (ended, sentence in printed) == (code, True), printed


def test_a_rejected_version_is_archived_until_that_is_undone(flywheel: Flywheel, client: Client) -> None:
    code, printed = flywheel("reject", "delay-2")
    assert code == 0, printed
    assert field(client, MODEL_VERSION, "delay-2", "archived") is True
    assert "It is the champion of Model 'delay', which goes back to 'delay-1'" in printed

    assert flywheel("reject", "delay-2", "--undo")[0] == 0
    assert field(client, MODEL_VERSION, "delay-2", "archived") is False


def test_a_run_is_cancelled_and_a_search_suspended(flywheel: Flywheel, client: Client) -> None:
    assert "TrainingRun 'run-1' is cancelled: its running steps are stopped" in flywheel("cancel", "run-1")[1]
    assert "is cancelled already" in flywheel("cancel", "run-1")[1]
    assert "Experiment 'search' is suspended: no new trial starts" in flywheel("cancel", "experiment/search")[1]
    assert "Experiment 'search' goes on" in flywheel("cancel", "experiment/search", "--undo")[1]
    assert (field(client, TRAINING_RUN, "run-1", "cancel"), field(client, EXPERIMENT, "search", "suspend")) == (
        True,
        False,
    )

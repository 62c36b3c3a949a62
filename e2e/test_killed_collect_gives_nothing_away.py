"""Whatever main does to its neighbours, it gets nothing that collect holds, and is ended at its timeout."""

import json
from typing import Any

import pytest

from e2e import hostile_main, kube
from e2e.bad_input import dataset, trial
from e2e.manifests import GOOD_ROWS
from e2e.namespace import Namespace

REFUSED = {"metric": "refused", "direction": "Maximize"}


@pytest.fixture(scope="module", autouse=True)
def started(namespace: Namespace, image: str) -> None:
    """All trials at once, since the attack takes 20 seconds and a timeout 45."""
    namespace.apply(dataset("rows", namespace.upload("rows.csv", GOOD_ROWS)))
    namespace.wait("fwds", "rows")
    for manifest in (
        trial("attack", image, "", objective=REFUSED, trainer=runs(image, hostile_main.ATTACK)),
        trial("outstay", image, "", trialTimeout="15s", trainer=runs(image, hostile_main.FORGE_AND_OUTSTAY)),
        trial("private", image, hostile_main.PRIVATE),
    ):
        namespace.apply(manifest)


def runs(image: str, program: str) -> dict[str, Any]:
    """A trainer without a model."""
    return {"container": {"image": image, "command": ["python3", "-c", program]}}


def trial_metrics(namespace: Namespace, name: str) -> dict[str, float]:
    namespace.wait("fwexp", name, seconds=180)
    status: dict[str, Any] = (namespace.get("fwexp", name) or {})["status"]
    return {metric: float(value) for metric, value in status["best"]["metrics"].items()}


def test_private_outputs_are_uploaded(namespace: Namespace) -> None:
    assert trial_metrics(namespace, "private") == {"loss": 0.5}

    manifests = [
        json.loads(kube.store().get_object(Bucket=kube.bucket(), Key=each["Key"])["Body"].read())
        for each in kube.store().list_objects_v2(Bucket=kube.bucket(), Prefix=f"{namespace.name}/manifests/")[
            "Contents"
        ]
    ]
    assert any("deep/labels.txt" in json.dumps(each) for each in manifests)


def test_what_has_credentials_is_neither_read_nor_signalled(namespace: Namespace) -> None:
    found = trial_metrics(namespace, "attack")

    assert {name: found[name] for name in ("secrets", "signalled", "traced", "vanished", "own")} == {
        "secrets": 0,
        "signalled": 0,
        "traced": 0,
        "vanished": 0,
        "own": 0,
    }
    assert found["credentialed"] >= 2, "pause and collect"
    assert found["refused"] > 0


def test_a_main_that_ends_watch_and_forges_its_report_is_stopped_at_its_timeout(namespace: Namespace) -> None:
    condition = namespace.wait("fwexp", "outstay", ready="False", reason="TrialsFailed", seconds=240)

    assert "timeout" in condition["message"]

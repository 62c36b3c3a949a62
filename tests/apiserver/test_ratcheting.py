"""Objects that an earlier release accepted, and that today's rules refuse, stay updatable: only the refused value must be right to change."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from tests.apiserver.manifests import Kubectl
from tests.documents import CHECKOUT

pytestmark = pytest.mark.apiserver

S3 = {"s3": {"uri": "s3://shop/orders/"}}
SUNDAY = {"cron": "0 2 * * 7"}  # which no CronJob takes
UNSUPPORTED = {"sklearn": {"estimators": [{"name": "XGBClassifier"}]}}


def without_rules(schema: Any) -> Any:
    """The schema without CEL rules, as that of a release that had none for a field."""
    if isinstance(schema, list):
        return [without_rules(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: without_rules(value) for key, value in schema.items() if key != "x-kubernetes-validations"}


def server_accepts(kubectl: Kubectl, document: str) -> bool:
    return kubectl("create", "--dry-run=server", "--filename", "-", stdin=document).returncode == 0


def wait_until(kubectl: Kubectl, document: str, *, accepted: bool) -> None:
    """The API server serves a changed schema a moment later."""
    for _ in range(100):
        if server_accepts(kubectl, document) is accepted:
            return
        time.sleep(0.1)
    raise AssertionError(f"the API server still has the other schema: accepted is not {accepted}")


@contextmanager
def lax(kubectl: Kubectl, plural: str, document: str) -> Iterator[None]:
    """The CRD without rules; with them again afterwards."""
    path = CHECKOUT / "crds" / f"{plural}.flywheel.ml.yaml"
    crd = without_rules(yaml.safe_load(path.read_text()))
    applied = ("apply", "--server-side", "--force-conflicts", "--filename")
    try:
        done = kubectl(*applied, "-", stdin=yaml.safe_dump(crd))
        assert done.returncode == 0, done.stderr
        wait_until(kubectl, document, accepted=True)
        yield
    finally:
        done = kubectl(*applied, path)
        assert done.returncode == 0, done.stderr
    wait_until(kubectl, document, accepted=False)


@pytest.mark.parametrize(
    ("kind", "spec", "other", "same_kind_of_value"),
    [
        pytest.param(
            "Dataset",
            {"source": S3, "schedule": SUNDAY},
            {"suspend": True},
            {"schedule": {"cron": "0 3 * * 7"}},
            id="a schedule",
        ),
        pytest.param(
            "Experiment",
            {"dataset": "orders", "trainer": UNSUPPORTED},
            {"suspend": True},
            {"trainer": {"sklearn": {"estimators": [{"name": "LGBMClassifier"}]}}},
            id="an estimator",
        ),
        pytest.param(
            "TrainingPipeline",
            {
                "inputs": [{"name": "orders", "dataset": "orders"}],
                "steps": [{"name": "fit", "train": {"from": "orders", "trainer": UNSUPPORTED}}],
                "triggers": [{"name": "nightly", "schedule": SUNDAY}],
            },
            {"suspend": True},
            {"triggers": [{"name": "nightly", "schedule": {"cron": "0 3 * * 7"}}]},
            id="a pipeline's trigger and step",
        ),
    ],
)
def test_an_object_of_an_earlier_release_stays_updatable(
    installed: Kubectl, kind: str, spec: dict[str, Any], other: dict[str, Any], same_kind_of_value: dict[str, Any]
) -> None:
    plural, name = f"{kind.lower()}s", "of-an-earlier-release"
    manifest = {"apiVersion": "flywheel.ml/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    document = yaml.safe_dump(manifest)

    def patch(changed: dict[str, Any]) -> tuple[int, str]:
        text = json.dumps({"spec": changed})
        done = installed("patch", f"{plural}.flywheel.ml", name, "--type=merge", f"--patch={text}")
        return done.returncode, done.stderr

    with lax(installed, plural, document):
        assert installed("create", "--filename", "-", stdin=document).returncode == 0
    try:
        code, warning = patch(other)
        assert code == 0, warning
        assert "Warning: spec." in warning
        code, refusal = patch(same_kind_of_value)
        assert code != 0, "the rule is not in force"
        assert f'The {kind} "{name}" is invalid: spec.' in refusal
    finally:
        installed("delete", f"{plural}.flywheel.ml", name)

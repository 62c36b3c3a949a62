"""Training in several pods: what the API server refuses, and that it takes the Jobs and the Service of what it lets in."""

import json
from typing import Any

import pytest
import yaml

from flywheel.core.pods import indexed_job
from flywheel.core.pods.indexed_job import ItemSet
from flywheel.core.pods.job import Step, step_job
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.engine.apply.canonical import matches
from flywheel.kinds.experiment import children
from flywheel.kinds.experiment.kind import KIND
from flywheel.kinds.experiment.schema.status import Attempt, Data
from flywheel.kinds.experiment.search.defaults import resolve_setup
from tests.apiserver.manifests import Kubectl
from tests.simulation import resource

pytestmark = pytest.mark.apiserver

CONTAINER: dict[str, Any] = {"trainer": {"container": {"image": "train:1"}}, "objective": {"metric": "f1"}}
TORCH = {"framework": "Torch", "nodes": 2, "processesPerNode": 4}


def manifest(spec: dict[str, Any], name: str = "spread") -> str:
    found = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Experiment", "metadata": {"name": name}}
    return yaml.safe_dump({**found, "spec": {"dataset": "orders", **CONTAINER, **spec}})


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            {"trainer": {"sklearn": {}}, "distributed": TORCH}, "require trainer.container", id="a trainer of ours"
        ),
        pytest.param(
            {"trainer": {"sklearn": {}}, "checkpoint": {}}, "require trainer.container", id="checkpoints of ours"
        ),
        pytest.param(
            {"distributed": {**TORCH, "framework": "XGBoost"}},
            "processesPerNode requires framework Torch",
            id="processes",
        ),
        pytest.param({"distributed": {"nodes": 2}}, "distributed.framework: Required value", id="no framework"),
        pytest.param({"distributed": {"framework": "Torch", "nodes": 0}}, "distributed.nodes", id="no pod"),
        pytest.param({"distributed": {"framework": "MPI", "nodes": 2}}, "Unsupported value", id="another framework"),
        pytest.param({"checkpoint": {"every": "soon"}}, "must be an integer followed by s, m, h or d", id="no time"),
        pytest.param({"placement": {"queueName": "My Queue"}}, "placement.queueName", id="no name of a queue"),
    ],
)
def test_refused(installed: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    done = installed("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest(spec))

    assert done.returncode != 0
    assert sentence in done.stderr


def test_a_search_in_several_pods_stays_one(installed: Kubectl) -> None:
    installed("apply", "-f", "-", stdin=manifest({"distributed": TORCH}))
    started = json.dumps({"status": {"startTime": "2026-01-01T00:00:00Z"}})
    installed("patch", "fwexp", "spread", "--subresource=status", "--type=merge", "-p", started)

    done = installed("patch", "fwexp", "spread", "--type=merge", "-p", '{"spec": {"distributed": {"nodes": 3}}}')

    assert "spec.distributed cannot change after the search has started" in done.stderr


OWNER = resource(
    KIND,
    "a" * 52,
    {"dataset": "d", **CONTAINER, "distributed": {"framework": "XGBoost", "nodes": 11}, "checkpoint": {}},
)
DATA = Data.model_validate({"version": "d-1", "digest": "sha256:" + "1" * 64})


def trial(**spec: Any) -> Child:
    told = OWNER.spec.model_dump(by_alias=True, exclude_none=True, mode="json")
    owner = resource(KIND, OWNER.name, {**told, **spec})
    setup = resolve_setup(owner.spec, DATA)
    assert setup is not None
    return children.trial_job(owner, setup, DATA, Attempt(trial=1, attempt=1), (0,), Settings())


def items() -> Child:
    step = Step("s", 1, "i", ("c",), {}, indexed=ItemSet(({"a": 1}, {"a": 2}, {"a": 3}), 2, items=(0, 2)))
    return step_job(OWNER, step, Settings())


MADE = {
    "a group": trial(),
    "its Service": indexed_job.headless_service(OWNER),
    "a queued group": trial(placement={"queueName": "team"}),
    "items": items(),
}


@pytest.mark.parametrize("which", MADE)
def test_children_are_taken_and_stay_as_they_were_wanted(installed: Kubectl, which: str) -> None:
    wanted = with_owner(OWNER, MADE[which])
    applied = installed(
        "apply", "--server-side", "--dry-run=server", "--output", "json", "--filename", "-", stdin=json.dumps(wanted)
    )

    assert applied.returncode == 0, applied.stderr
    assert "Warning" not in applied.stderr
    assert matches(wanted, json.loads(applied.stdout))

"""Bad FeatureSets are refused by the API server with a sentence of ours, and one that a champion needs is not deleted."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.apiserver.manifests import Kubectl
from tests.apiserver.policies import Run, policies_in

pytestmark = pytest.mark.apiserver

GOOD: dict[str, Any] = {
    "inputs": [{"name": "sched", "type": "Timestamp"}, {"name": "origin", "type": "String"}],
    "eventTime": "sched",
    "aggregates": [
        {
            "name": "leaving_1h",
            "from": {"dataset": "flights", "time": "time_hour", "availableAfter": "10m"},
            "key": {"origin": "origin"},
            "function": "count",
            "window": "1h",
            "every": "5m",
        }
    ],
    "lookups": [
        {
            "name": "weather",
            "from": {"dataset": "weather", "time": "seen", "availableAfter": "1h"},
            "key": {"airport": "origin"},
            "columns": ["temp"],
            "maxAge": "3h",
        }
    ],
}


def manifest(spec: dict[str, Any], name: str = "context") -> str:
    body = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "FeatureSet", "metadata": {"name": name}, "spec": spec}
    return yaml.safe_dump(body)


def changed(place: str | None = None, **fields: Any) -> dict[str, Any]:
    """GOOD with other fields, in its only aggregate or lookup where `place` says so; None removes a field."""
    spec = copy.deepcopy(GOOD)
    target = spec[place][0] if place else spec
    target |= fields
    for name in [name for name, value in fields.items() if value is None]:
        del target[name]
    return spec


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        pytest.param(
            changed(aggregates=None, lookups=None),
            "give at least one feature, in rowwise, aggregates or lookups",
            id="no feature",
        ),
        pytest.param(
            changed(eventTime="origin"), "eventTime must be the name of an input of type Timestamp", id="a time of text"
        ),
        pytest.param(changed(eventTime="gone"), "eventTime must be the name of an input", id="a time that is no input"),
        pytest.param(
            changed("aggregates", key={"origin": "airport"}),
            "a key of an aggregate names no input; add the input with its type",
            id="a key of an aggregate that is no input",
        ),
        pytest.param(
            changed("lookups", key={"airport": "airport"}),
            "a key of a lookup names no input; add the input with its type",
            id="a key of a lookup that is no input",
        ),
        pytest.param(changed("aggregates", key={}), "spec.aggregates[0].key", id="no key"),
        pytest.param(
            changed("aggregates", function="sum"),
            "column is required, the values that the function takes",
            id="a sum of nothing",
        ),
        pytest.param(changed("aggregates", function="median"), 'supported values: "count"', id="an unknown function"),
        pytest.param(
            changed("aggregates", window="7m"), "window must be a multiple of every", id="a window of parts of buckets"
        ),
        pytest.param(
            changed("aggregates", window="2d"),
            "window must be at most 300 times every; choose a larger every",
            id="a window of too many buckets",
        ),
        pytest.param(changed("aggregates", ttl="30m"), "ttl must be at least window", id="a ttl below the window"),
        pytest.param(
            changed("aggregates", function="avg", column="dist", missing="Zero"),
            "an average of no rows is not zero",
            id="a zero average",
        ),
        pytest.param(
            changed("aggregates", name="leaving-1h"),
            "a name of letters, digits and _",
            id="a name that is no name in SQL",
        ),
        pytest.param(
            changed("lookups", maxAge="1h"),
            "maxAge must be longer than from.availableAfter",
            id="a row that is never young enough",
        ),
        pytest.param(changed("lookups", columns=[]), "spec.lookups[0].columns", id="a lookup of nothing"),
        pytest.param(
            changed(inputs=[{"name": "sched", "type": "Date"}]), 'supported values: "Integer"', id="an unknown type"
        ),
        pytest.param(changed(colour="red"), 'unknown field "spec.colour"', id="an unknown field"),
    ],
)
def test_refused(installed: Kubectl, spec: dict[str, Any], sentence: str) -> None:
    done = installed("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest(spec))

    assert done.returncode != 0
    assert sentence.lower() in done.stderr.lower()


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(GOOD, id="aggregates and lookups"),
        pytest.param(changed(rowwise={"hour": "hour(sched)"}, aggregates=None, lookups=None), id="expressions alone"),
        pytest.param(changed("aggregates", window="1500m", ttl="2d"), id="a window of 300 buckets"),
        pytest.param(changed(owner="operations", description="What an airport is like."), id="what is for people"),
    ],
)
def test_accepted(installed: Kubectl, spec: dict[str, Any]) -> None:
    done = installed("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest(spec))

    assert done.returncode == 0, done.stderr


def test_as_many_features_as_there_may_be_are_accepted(installed: Kubectl) -> None:
    [aggregate], [lookup] = GOOD["aggregates"], GOOD["lookups"]
    inputs = GOOD["inputs"] + [{"name": f"input_{number}", "type": "Float"} for number in range(62)]
    many = changed(
        inputs=inputs,
        rowwise={f"made_{number}": "hour(sched)" for number in range(64)},
        aggregates=[{**aggregate, "name": f"counted_{number}"} for number in range(64)],
        lookups=[{**lookup, "name": f"found_{number}"} for number in range(16)],
    )

    done = installed("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifest(many))

    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def team(installed: Kubectl) -> Iterator[Run]:
    """kubectl in a namespace where joe may edit."""
    with policies_in("feature-sets", installed, {"joe": ("flywheel-edit", "flywheel-view")}) as run:
        yield run


def test_a_feature_set_that_a_champion_needs_is_not_deleted(team: Run) -> None:
    made = team("create", "--as", "joe", "-f", "-", stdin=manifest(GOOD))
    assert made.returncode == 0, made.stderr
    patch = ("patch", "fwfs", "context", "--subresource=status", "--type", "merge", "--patch")
    told = team(*patch, json.dumps({"status": {"neededBy": ["delay", "fraud"]}}))
    assert told.returncode == 0, told.stderr

    refused = team("delete", "fwfs", "context", "--as", "joe")
    freed = team(*patch, json.dumps({"status": {"neededBy": []}}))
    gone = team("delete", "fwfs", "context", "--as", "joe")

    assert (
        "FeatureSet 'context' makes features of the champion of Model 'delay', 'fraud'; promote a version"
        in refused.stderr
    )
    assert (freed.returncode, gone.returncode) == (0, 0), gone.stderr


def test_a_container_takes_no_feature_sets(installed: Kubectl) -> None:
    spec = {
        "dataset": "flights",
        "featureSets": ["context"],
        "trainer": {"container": {"image": "trainer"}},
        "objective": {"metric": "f1"},
    }
    body = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Experiment", "metadata": {"name": "e"}, "spec": spec}

    done = installed("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_dump(body))

    assert "featureSets requires trainer.sklearn; a container computes its features itself" in done.stderr

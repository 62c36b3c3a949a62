"""The simulator is the engine itself, and its cluster writes as an API server does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from flywheel.cluster.errors import ApiError
from flywheel.core.resource import names
from flywheel.core.resource.api import CONFIG_MAP, DEPLOYMENT, JOB, POD, Reference
from flywheel.core.resource.plan import Plan
from flywheel.kinds.dataset.kind import KIND as DATASET_KIND
from tests import simulation
from tests.engine.widget import KIND, Seen, Widget
from tests.simulation import FakeCluster, resource, terminated_state
from tests.simulation import simulator as simulator_module
from tests.simulation.simulator import Simulator

CONFIG = Reference(CONFIG_MAP, "default", "one-config")


def simulator(**spec: object) -> Simulator:
    found = Simulator(KIND, resource(KIND, "one", {"message": "hello", **spec}))
    found.settle()
    return found


def test_children_are_written_before_the_status_and_the_event() -> None:
    found = simulator(jobs=1)

    assert [write.split()[:2] for write in found.writes] == [
        ["create", "ConfigMap"],
        ["create", "Job"],
        ["status", "Widget"],
        ["event", "Event"],
    ]
    assert found.manifest(CONFIG)["metadata"]["labels"][names.UID_LABEL] == found.resource.uid
    assert found.status.observed_generation == 1
    assert found.events() == ["Told"]


def test_a_decision_that_is_no_function_of_what_is_seen_fails_every_life() -> None:
    called: list[int] = []

    def decide(widget: Widget, seen: Seen) -> Plan:
        called.append(1)
        return replace(KIND.decide(widget, seen), summary=str(len(called)))

    found = Simulator(replace(KIND, decide=decide), resource(KIND, "one", {"message": "hello"}))

    with pytest.raises(pytest.fail.Exception, match="decide returned two plans for one Seen"):
        found.settle()


def test_nothing_is_written_while_nothing_changes() -> None:
    found = simulator(jobs=2, serve=True)
    before = len(found.writes)
    found.wake_all()
    found.settle()

    assert found.writes[before:] == []


@pytest.mark.parametrize("crash_after", [1, 2, 3, 4])
def test_a_killed_operator_starts_again_and_writes_the_rest(crash_after: int) -> None:
    found = Simulator(KIND, resource(KIND, "one", {"jobs": 1}), crash_after=crash_after)
    found.settle()

    assert {write.split()[1] for write in found.writes} >= {"ConfigMap", "Job", "Widget"}
    assert len([write for write in found.writes if write.startswith("create")]) == 2


def test_the_example_of_the_module_runs() -> None:
    orders = resource(DATASET_KIND, "orders", {"source": {"s3": {"uri": "s3://shop/orders/"}}})
    _description, _blank, example = (simulator_module.__doc__ or "").partition("\n\n")

    exec(example, {**vars(simulation), "Simulator": Simulator, "DATASET_KIND": DATASET_KIND, "orders": orders})


class Watched(Simulator):
    """A simulator that counts how often its operator was dead."""

    deaths = 0

    def while_dead(self) -> None:
        """See Simulator."""
        self.deaths += 1


@pytest.mark.parametrize("go_on", [Watched.settle, Watched.reconcile])
def test_the_cluster_changes_while_a_killed_operator_is_dead(go_on: Callable[[Watched], object]) -> None:
    found = Watched(KIND, resource(KIND, "one", {}), crash_after=2)
    go_on(found)

    assert found.deaths == 1


@pytest.mark.parametrize(
    ("changes", "generation"),
    [
        pytest.param({}, 1, id="nothing"),
        pytest.param({"message": "hello"}, 1, id="the same value"),
        pytest.param({"friend": None}, 1, id="a field that is not there is removed"),
        pytest.param({"message": "bye"}, 2, id="another value"),
    ],
)
def test_only_another_spec_is_another_generation(changes: dict[str, Any], generation: int) -> None:
    found = simulator()
    found.patch_spec(**changes)

    assert found.manifest(found.subject)["metadata"]["generation"] == generation


def test_a_write_can_be_lost() -> None:
    found = Simulator(KIND, resource(KIND, "one", {}))
    found.crash_before = lambda write: write.startswith("status")
    found.reconcile()

    assert found.writes == ["create ConfigMap one-config"]


def test_an_edited_child_is_as_it_was_and_a_deleted_one_comes_back_with_another_uid() -> None:
    found = simulator()
    first = found.manifest(CONFIG)
    found.put({**first, "data": {"message": "edited"}})
    found.settle()
    assert found.manifest(CONFIG)["data"] == {"message": "hello"}

    found.cluster.remove(CONFIG)
    found.settle()

    assert found.manifest(CONFIG)["metadata"]["uid"] != first["metadata"]["uid"]


def test_a_child_that_left_the_plan_is_deleted_and_its_pods_with_it() -> None:
    found = simulator(jobs=2)
    [_first, second] = found.jobs()
    found.end_job(second["metadata"]["name"], main=terminated_state(1), failed=True)
    assert len(found.cluster.children(found.resource.uid, POD)) == 1

    found.patch_spec(jobs=1)
    found.settle()

    assert len(found.jobs()) == 1
    assert found.cluster.children(found.resource.uid, POD) == ()


def test_all_that_a_resource_owns_goes_with_it() -> None:
    found = simulator(jobs=1, serve=True)
    uid = found.resource.uid
    found.cluster.remove(found.subject)

    assert [found.cluster.children(uid, api) for api in (CONFIG_MAP, JOB, DEPLOYMENT)] == [(), (), ()]


def test_a_field_that_its_manager_no_longer_sets_is_removed_and_those_of_others_stay() -> None:
    cluster = FakeCluster()
    apply(cluster, "us", {"a": "1", "b": "2"})
    apply(cluster, "them", {"b": "3", "c": "4"})
    apply(cluster, "us", {"a": "5"})

    assert (cluster.get(CONFIG) or {})["data"] == {"a": "5", "b": "3", "c": "4"}


def test_an_apply_that_changes_nothing_is_no_new_version() -> None:
    cluster = FakeCluster()

    assert apply(cluster, "us", {"a": "1"}) == apply(cluster, "us", {"a": "1"})


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        pytest.param({"resourceVersion": "1"}, 409, id="a name that is taken"),
        pytest.param({"uid": "another"}, 422, id="the uid of a predecessor"),
    ],
)
def test_what_an_apply_demands_of_the_live_object(metadata: dict[str, str], status: int) -> None:
    cluster = FakeCluster()
    apply(cluster, "us", {"a": "1"})

    with pytest.raises(ApiError) as refused:
        apply(cluster, "us", {"a": "2"}, **metadata)

    assert (refused.value.status, refused.value.conflict) == (status, True)
    assert (cluster.get(CONFIG) or {})["data"] == {"a": "1"}


def test_a_map_that_loses_all_its_keys_is_refused() -> None:
    cluster = FakeCluster()
    apply(cluster, "us", {"a": "1"})

    with pytest.raises(ApiError, match="not null"):
        apply(cluster, "us", {})


def apply(cluster: FakeCluster, manager: str, data: dict[str, str], **metadata: str) -> str:
    """Apply a ConfigMap, and return its resourceVersion."""
    manifest = {"metadata": {"name": CONFIG.name, "namespace": CONFIG.namespace, **metadata}, "data": data}
    return str(cluster.apply(CONFIG_MAP, manifest, manager)[0]["metadata"]["resourceVersion"])

"""Typed objects that are applied, runs that are started and awaited, and the same for asyncio."""

import asyncio
from typing import Any

import pytest
import yaml

import flywheel as fw
from flywheel.client.aio import AsyncWorkspace
from flywheel.client.errors import FlywheelError
from flywheel.client.objects.resources import TypedObject
from flywheel.engine import discover
from tests.client.local_cluster import LocalCluster, Reply, status
from tests.client.sample_records import record
from tests.documents import documents

EXAMPLES = [(where, text) for where, text in documents() if where.startswith("crds/examples/")]
CLASSES = {each.api.kind: each for each in TypedObject.__subclasses__()}
PIPELINE = {"metadata": {"name": "monthly", "namespace": "shop"}, "spec": {}}


def run_with(**conditions: str) -> dict[str, Any]:
    found = [
        {
            "type": name,
            "status": value,
            "reason": f"{name}{value}",
            "message": "All steps ended.",
            "observedGeneration": 1,
        }
        for name, value in conditions.items()
    ]
    return {
        "metadata": {"name": "monthly-x7k2p", "namespace": "shop", "generation": 1, "uid": "uid-1"},
        "spec": {"pipeline": "monthly"},
        "status": {"conditions": found, "steps": [{"name": "train", "state": "Running"}]},
    }


def test_every_kind_has_a_class_with_the_spec_of_its_crd() -> None:
    assert {kind.api: kind.spec for kind in discover.kinds()} == {each.api: each.spec_type for each in CLASSES.values()}
    assert all(getattr(fw, name) is found for name, found in CLASSES.items())


@pytest.mark.parametrize("text", [pytest.param(text, id=where) for where, text in EXAMPLES])
def test_a_typed_object_is_the_manifest_that_it_was_made_of(text: str) -> None:
    manifest = yaml.safe_load(text)

    made = CLASSES[manifest["kind"]](manifest["metadata"]["name"], manifest["spec"]).to_manifest()

    assert made["metadata"] == {"name": manifest["metadata"]["name"]}
    assert CLASSES[manifest["kind"]]("x", made["spec"]).spec == CLASSES[manifest["kind"]]("x", manifest["spec"]).spec
    assert set(made["spec"]) == set(manifest["spec"])


def test_a_typed_object_is_applied_in_the_namespace(cluster: LocalCluster) -> None:
    live = cluster.workspace().apply(fw.Model("delay", {"objective": {"metric": "roc_auc"}}, labels={"team": "ops"}))

    call = cluster.calls[-1]
    assert (call.method, call.path) == ("PATCH", "/apis/flywheel.ml/v1alpha1/namespaces/shop/models/delay")
    assert dict(call.query) == {"fieldManager": "flywheel-client", "force": "false"}
    assert call.body["metadata"] == {"name": "delay", "namespace": "shop", "labels": {"team": "ops"}}
    assert repr(live) == "<Model 'delay' in namespace 'shop'>"


def test_names_of_python_and_of_yaml_are_the_same() -> None:
    from_python = fw.InferenceService("a", {"model": "m", "max_body_size": "64Mi", "auth": {"service_account": {}}})
    from_yaml = fw.InferenceService("a", {"model": "m", "maxBodySize": "64Mi", "auth": {"serviceAccount": {}}})

    assert from_python.to_manifest() == from_yaml.to_manifest()
    assert from_python.to_manifest()["spec"] == {"model": "m", "maxBodySize": "64Mi", "auth": {"serviceAccount": {}}}


def test_a_notebook_shows_a_typed_object_and_a_live_one(cluster: LocalCluster) -> None:
    typed = fw.Model("<b>", {})
    live = cluster.workspace().model("missing")

    assert "<b>" not in typed._repr_html_()
    assert typed._mime_() == ("text/html", typed._repr_html_())
    assert "does not exist" in live._repr_html_()


def test_a_field_that_does_not_exist_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(FlywheelError, match=r"TrainingRun 'a': spec.pipelin") as caught:
        fw.TrainingRun("a", {"pipeline": "p", "pipelin": "q"})

    assert caught.value.reason == "Invalid"


def test_a_manifest_of_another_kind_is_refused(cluster: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match=r"v1/Secret is none of the kinds of flywheel.ml"):
        cluster.workspace().apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})


def test_a_refusal_of_the_api_server_has_its_message(cluster: LocalCluster) -> None:
    cluster.api["/apis/flywheel.ml/v1alpha1/namespaces/shop/models/delay"] = status(
        409, "Conflict", "conflict with kubectl"
    )

    with pytest.raises(FlywheelError, match="conflict with kubectl") as caught:
        cluster.workspace().apply(fw.Model("delay", {}))

    assert (caught.value.status, caught.value.reason) == (409, "Conflict")


def test_a_run_is_created_and_awaited(cluster: LocalCluster) -> None:
    cluster.add("trainingpipelines", PIPELINE)
    run = cluster.workspace().run("monthly", months=6, full=True)
    sent = cluster.calls[-1].body
    cluster.add("trainingruns", run_with(Succeeded="True"))

    assert run.wait() is run
    assert sent["metadata"] == {"generateName": "monthly-", "namespace": "shop"}
    assert sent["spec"] == {"pipeline": "monthly", "parameters": {"months": "6", "full": "true"}}
    assert run.steps()[0]["state"] == "Running"


def test_a_failed_run_has_its_condition(cluster: LocalCluster) -> None:
    cluster.add("trainingpipelines", PIPELINE)
    run = cluster.workspace().run("monthly")
    cluster.add("trainingruns", run_with(Succeeded="False", Ready="False"))

    with pytest.raises(FlywheelError, match=r"TrainingRun 'monthly-x7k2p' failed: All steps ended.") as caught:
        run.wait()

    assert caught.value.condition["reason"] == "SucceededFalse"


def test_a_run_that_takes_too_long_continues(cluster: LocalCluster) -> None:
    cluster.add("trainingpipelines", PIPELINE)
    run = cluster.workspace().run("monthly")
    cluster.add("trainingruns", run_with(Ready="True"))

    with pytest.raises(FlywheelError, match="has not ended in time; it continues") as caught:
        run.wait(timeout=0)

    assert caught.value.reason == "Timeout"


def test_a_run_is_cancelled(cluster: LocalCluster) -> None:
    cluster.add("trainingpipelines", PIPELINE)
    run = cluster.workspace().run("monthly")

    run.cancel()

    assert cluster.objects["trainingruns", "monthly-x7k2p"]["spec"] == {"pipeline": "monthly", "cancel": True}


def test_a_pipeline_that_does_not_exist_is_named(cluster: LocalCluster) -> None:
    with pytest.raises(FlywheelError, match="TrainingPipeline 'monthly' in namespace 'shop' does not exist"):
        cluster.workspace().run("monthly")


def test_an_object_that_does_not_end_is_awaited_until_it_is_ready(cluster: LocalCluster) -> None:
    live = cluster.workspace().apply(fw.Model("delay", {}))
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1}
    cluster.add("models", {"metadata": {"name": "delay", "generation": 1}, "status": {"conditions": [ready]}})

    assert live.wait(timeout=5) is live
    assert live.conditions()[0]["type"] == "Ready"


def test_asyncio_has_the_same(cluster: LocalCluster) -> None:
    cluster.add("trainingpipelines", PIPELINE)
    cluster.reader["/v1/namespaces/shop/trials"] = Reply({"items": [record(1)], "next": None})

    async def use() -> list[str]:
        workspace = AsyncWorkspace(cluster.workspace())
        run = await workspace.run("monthly", months=6)
        cluster.add("trainingruns", run_with(Succeeded="True"))
        await run.wait()
        await run.cancel()
        trials, experiments = await asyncio.gather(workspace.trials(), workspace.experiments())
        return [str(each["experiment"]) for each in [*trials, *experiments]]

    assert asyncio.run(use()) == ["flight-delay", "flight-delay"]

"""What can be wrong with a pipeline: refused where it is applied, or said where it is met; nothing is lost, and the next run goes well."""

from collections.abc import Callable
from typing import Any

import pytest

from e2e import kube, pipelines
from e2e.kube import KubectlFailed
from e2e.namespace import Namespace
from e2e.waiting import wait_until

FINISH = "from flywheel_runtime import run; run.finish({'rows': 1})"
LEAK = "import pathlib; f = pathlib.Path('/flywheel/outputs/leak').open('wb'); [f.write(bytes(2**20)) for _ in range(200)]; f.flush(); import time; time.sleep(300)"
NAN = "import pathlib; pathlib.Path('/flywheel/outputs/metrics.json').write_text('{\"rows\": NaN}')"


def container(name: str, program: str = FINISH, **more: Any) -> dict[str, Any]:
    """A step in the runtime image."""
    work = {"image": pipelines.runtime_image(), "command": ["python3", "-c", program]}
    given = {key: more.pop(key) for key in ("inputs", "parameters") if key in more}
    return {"name": name, "container": {**work, **given}, "retry": {"user": 0}, **more}


def pipeline(name: str, *steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
    body = {"steps": list(steps), **spec}
    return {"apiVersion": "flywheel.ml/v1alpha1", "kind": "TrainingPipeline", "metadata": {"name": name}, "spec": body}


def cron(expression: str, zone: str = "Etc/UTC") -> list[dict[str, Any]]:
    return [{"name": "nightly", "schedule": {"cron": expression, "timeZone": zone}}]


REFUSED: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "a step that is not there": (
        lambda: pipeline("bad", container("a", inputs=[{"name": "x", "from": "nowhere"}])),
        "nowhere|above|input",
    ),
    "a step below": (lambda: pipeline("bad", container("a", dependsOn=["b"]), container("b")), "above"),
    "two steps of one name": (lambda: pipeline("bad", container("a"), container("a")), "Duplicate|duplicate"),
    "31 February": (lambda: pipeline("bad", container("a"), triggers=cron("0 3 31 2 *")), "would never fire"),
    "31 April and June": (lambda: pipeline("bad", container("a"), triggers=cron("0 3 31 4,jun *")), "would never fire"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_it_is_refused_where_it_is_applied(namespace: Namespace, case: str) -> None:
    manifest, words = REFUSED[case]
    with pytest.raises(KubectlFailed, match=words):
        namespace.apply(manifest())


@pytest.fixture(scope="module")
def applied(namespace: Namespace) -> Namespace:
    """All that is met later, applied together."""
    when = [{"metric": {"step": "a", "name": "nowhere"}, "min": "1"}]
    small = {"resources": {"limits": {"ephemeral-storage": "32Mi"}}}
    namespace.apply(
        pipeline("mars", container("a"), triggers=cron("0 3 * * *", "Mars/Olympus")),
        pipeline("names", container("a", parameters={"n": "$(params.nowhere)"})),
        pipeline("hook", {"name": "a", "notify": {"url": "https://hooks.example.org/T0/secret", "text": "done"}}),
        pipeline("leak", container("a", LEAK, **small)),
        pipeline("nan", container("a", NAN)),
        pipeline("when", container("a"), container("b", dependsOn=["a"], when=when)),
        pipeline("needs", container("a"), parameters=[{"name": "months", "type": "Integer"}]),
    )
    for name in ("hook", "leak", "nan", "when", "needs"):
        namespace.wait("fwpipe", name, reason="Live")
        pipelines.start_run(namespace, f"{name}-1", name)
    return namespace


def test_a_time_zone_that_nobody_knows(applied: Namespace) -> None:
    def found() -> bool:
        return "unknown time zone" in kube.condition(applied.get("fwpipe", "mars")).get("message", "")

    wait_until(found, 60, lambda: str(kube.condition(applied.get("fwpipe", "mars"))))
    message = kube.condition(applied.get("fwpipe", "mars"))["message"]
    assert "Mars/Olympus" in message
    assert "CronJob" in message


def test_a_parameter_that_is_not_declared(applied: Namespace) -> None:
    condition = applied.wait("fwpipe", "names", ready="False")

    assert "nowhere" in condition["message"]


def test_a_host_that_may_not_be_notified(applied: Namespace) -> None:
    step = pipelines.step_status(pipelines.wait_for_run(applied, "hook-1"), "a")

    assert (step["state"], step["reason"]) == ("Failed", "HostNotAllowed")
    assert "hooks.example.org" in step["message"]
    assert "T0" not in step["message"], "an address may hold a token"


def test_a_metric_that_is_not_a_number(applied: Namespace) -> None:
    step = pipelines.step_status(pipelines.wait_for_run(applied, "nan-1"), "a")

    assert (step["state"], step["reason"]) == ("Failed", "MetricsInvalid")
    assert "rows" in step["message"]
    assert "NaN" in step["message"]


def test_a_condition_that_cannot_be_evaluated(applied: Namespace) -> None:
    status = pipelines.wait_for_run(applied, "when-1")

    assert pipelines.step_status(status, "a")["state"] == "Succeeded"
    assert pipelines.step_status(status, "b")["reason"] == "WhenUndefined"
    assert "nowhere" in pipelines.step_status(status, "b")["message"]


def test_a_parameter_that_is_missing(applied: Namespace) -> None:
    status = pipelines.wait_for_run(applied, "needs-1")
    assert status["result"] == "Failed"
    assert "months" in status["message"]

    pipelines.start_run(applied, "needs-2", "needs", ", parameters: {months: 6}")
    assert pipelines.wait_for_run(applied, "needs-2")["result"] == "Succeeded"


def test_a_trainer_that_fills_the_disk_is_not_tried_for_ever(applied: Namespace) -> None:
    step = pipelines.step_status(pipelines.wait_for_run(applied, "leak-1", 300), "a")

    assert (step["state"], step["reason"]) == ("Failed", "StorageExceeded")
    assert "ephemeral-storage" in step["message"]
    assert "32Mi" in step["message"]

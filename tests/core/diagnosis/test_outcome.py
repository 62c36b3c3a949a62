"""The operator's reading of what pods leave behind: the same golden messages that the runtime is tested against."""

import json
from pathlib import Path
from typing import Any

import pytest

from flywheel.core.diagnosis import outcome

CONTRACTS = Path(__file__).parents[2] / "contracts"
GOLDEN = [
    pytest.param(path, id=json.loads(path.read_text())["description"]) for path in sorted(CONTRACTS.glob("pod_*.json"))
]
JOB = {
    "metadata": {"name": "flights-check-1-5e0c2a9b"},
    "status": {"conditions": [{"type": "Failed", "status": "True"}]},
}
RUNNING_JOB = {"metadata": {"name": "flights-check-1-5e0c2a9b"}, "status": {"active": 1}}


def pod(told: dict[str, Any], phase: str = "Failed", **status: Any) -> dict[str, Any]:
    """A pod of the contract's shape, with what its containers said."""

    def ended(name: str) -> dict[str, Any]:
        return (
            {"name": name, "state": {"terminated": told[name]}}
            if told.get(name)
            else {"name": name, "state": {"waiting": {}}}
        )

    return {
        "metadata": {"name": "flights-check-1-5e0c2a9b-x7k2p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"nodeName": "dev", "containers": [{"name": "main", "resources": {"limits": {"memory": "1Gi"}}}]},
        "status": {
            "phase": phase,
            "reason": told.get("reason"),
            "message": told.get("message"),
            "initContainerStatuses": [ended("collect"), ended("fetch")],
            "containerStatuses": [ended("main")],
            **status,
        },
    }


@pytest.mark.parametrize("path", GOLDEN)
def test_a_pod_is_read_by_the_contract(path: Path) -> None:
    golden = json.loads(path.read_text())

    found = outcome.job_outcome(JOB, [pod(golden["pod"])])

    assert found is not None
    assert (found.result, found.reason) == (golden["reading"]["result"], golden["reading"]["reason"])
    assert found.result == "Succeeded" or found.message


@pytest.mark.parametrize("name", ["pod_done.json", "pod_done_repeated.json", "pod_refused.json"])
def test_what_has_nothing_more_to_say_is_not_waited_for(name: str) -> None:
    """The phase comes seconds after the containers' ends, and never where collect does not let main in."""
    found = outcome.job_outcome(RUNNING_JOB, [pod(golden(name), phase="Pending")])

    assert found is not None
    assert found.reason == json.loads((CONTRACTS / name).read_text())["reading"]["reason"]


@pytest.mark.parametrize(
    "name", ["pod_exit_1.json", "pod_oom.json", "pod_evicted.json", "pod_exit_0_not_uploaded.json"]
)
def test_a_failure_is_read_when_the_pod_has_ended(name: str) -> None:
    """Why it was stopped from outside may come last."""
    assert outcome.job_outcome(RUNNING_JOB, [pod(golden(name), phase="Running")]) is None


def golden(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((CONTRACTS / name).read_text())["pod"]
    return told


@pytest.mark.parametrize(
    ("exit_code", "timed_out", "reason"),
    [(1, False, "ExitCode1"), (143, True, "TimedOut"), (0, True, "TimedOut"), (0, False, "Succeeded")],
)
def test_a_result_that_was_there_excuses_no_main_that_failed(exit_code: int, timed_out: bool, reason: str) -> None:
    told = golden("pod_done_repeated.json")
    report = {**json.loads(told["collect"]["message"]), "timedOut": timed_out}
    collect = {**told["collect"], "message": json.dumps(report)}
    ended = pod({"collect": collect, "fetch": {"exitCode": 0}, "main": {"exitCode": exit_code}})

    found = outcome.job_outcome(JOB, [ended])

    assert found is not None
    assert found.reason == reason


@pytest.mark.parametrize(
    ("command", "quotes"),
    [
        pytest.param(["python", "train.py"], True, id="the user's own words"),
        pytest.param(["python3", "-m", "flywheel_runtime", "check"], False, id="a step of ours"),
        pytest.param(["python3", "-I", "-u", "-m", "flywheel_runtime", "check"], False, id="an isolated step of ours"),
    ],
)
def test_the_last_line_of_a_step_of_ours_may_be_a_row_and_is_not_quoted(command: list[str], quotes: bool) -> None:
    found = pod({**golden("pod_exit_1.json"), "main": {"exitCode": 139, "message": "one\n'ada' is no number\n"}})
    found["spec"]["containers"][0]["command"] = command

    outcome_of_pod = outcome.job_outcome(JOB, [found])

    assert outcome_of_pod is not None
    assert ("(its last line: 'ada' is no number)" in outcome_of_pod.message) is quotes


@pytest.mark.parametrize(
    ("earlier", "reason"),
    [
        pytest.param({"exitCode": 1}, "ExitCode1", id="main failed"),
        pytest.param({"exitCode": 137, "reason": "OOMKilled"}, "OOMKilled", id="main was killed for its memory"),
        pytest.param({"exitCode": 143}, "Succeeded", id="main was stopped with its pod"),
        pytest.param({"exitCode": 0}, "Succeeded", id="main succeeded"),
    ],
)
def test_a_result_that_a_disrupted_pod_committed_excuses_no_main_that_failed(
    earlier: dict[str, Any], reason: str
) -> None:
    done = golden("pod_done.json")
    first = pod({**done, "main": earlier}, conditions=[{"type": "DisruptionTarget", "status": "True"}])
    second = pod(golden("pod_done_repeated.json"))
    second["metadata"]["creationTimestamp"] = "2026-01-01T00:05:00Z"

    found = outcome.job_outcome(JOB, [first, second])

    assert found is not None
    assert found.reason == reason


@pytest.mark.parametrize("exit_code", [0, 137])
def test_how_watch_ended_says_nothing_of_the_attempt(exit_code: int) -> None:
    told = golden("pod_done.json")
    watch = {"name": "watch", "state": {"terminated": {"exitCode": exit_code}}}
    statuses = [{"name": "main", "state": {"terminated": told["main"]}}, watch]

    found = outcome.job_outcome(JOB, [pod(told, containerStatuses=statuses)])

    assert found is not None
    assert found.result == "Succeeded"


def test_a_signal_to_a_pod_that_is_deleted_is_not_mains_own() -> None:
    killed = pod(golden("pod_signal_not_ours.json"))
    killed["metadata"]["deletionTimestamp"] = "2026-01-01T00:01:00Z"

    found = outcome.job_outcome(JOB, [killed])

    assert found is not None
    assert (found.result, found.reason) == ("Infrastructure", "PodDeleted")


def test_a_running_pod_has_no_outcome_yet() -> None:
    assert outcome.job_outcome(RUNNING_JOB, [pod({}, phase="Running")]) is None


def test_a_job_that_is_over_without_any_pod_is_unknown_and_never_a_success() -> None:
    complete = {**JOB, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}

    found = outcome.job_outcome(complete, [])

    assert found is not None
    assert (found.result, found.reason) == ("Infrastructure", "NoMessage")


def test_a_disrupted_pod_waits_for_the_pod_that_the_job_makes_in_its_place() -> None:
    disrupted = pod(golden("pod_evicted.json"), conditions=[{"type": "DisruptionTarget", "status": "True"}])

    assert outcome.job_outcome(RUNNING_JOB, [disrupted]) is None


def test_the_message_of_a_memory_kill_names_the_limit() -> None:
    found = outcome.job_outcome(JOB, [pod(golden("pod_oom.json"))])

    assert found is not None
    assert "its limit of 1Gi" in found.message


def test_outputs_metrics_and_usage_are_passed_on() -> None:
    found = outcome.job_outcome(JOB, [pod(golden("pod_done.json"), phase="Succeeded")])

    assert found is not None
    assert found.outputs["model"].startswith("sha256:3f9a1c")
    assert found.metrics["roc_auc"] == 0.742
    assert found.usage["cpuSeconds"] == 12.3
    assert found.node == "dev"


@pytest.mark.parametrize(
    ("image_id", "told"),
    [
        pytest.param(f"shop/train@sha256:{'1' * 64}", f"shop/train@sha256:{'1' * 64}", id="from a registry"),
        pytest.param(f"docker-pullable://a/b@sha256:{'1' * 64}", f"a/b@sha256:{'1' * 64}", id="as docker tells it"),
        pytest.param(f"sha256:{'1' * 64}", None, id="an id that names nothing elsewhere"),
    ],
)
def test_the_image_is_reported_by_digest(image_id: str, told: str | None) -> None:
    done = pod(golden("pod_done.json"), phase="Succeeded")
    next(each for each in done["status"]["containerStatuses"] if each["name"] == "main")["imageID"] = image_id

    found = outcome.job_outcome(JOB, [done])

    assert found is not None
    assert found.image == told


def of_its_own(main: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A pod whose main keeps its own results."""
    whole = pod({"fetch": {"exitCode": 0}, "main": main}, phase="Succeeded" if not main["exitCode"] else "Failed")
    before = [{"name": "fetch"}, {"name": "server"}]
    return {**whole, "spec": {**whole["spec"], "initContainers": before, **spec}}


FINISHED = json.dumps(json.loads((CONTRACTS / "main_batch_planned.json").read_text())["message"])


def test_where_there_is_no_collect_main_reports() -> None:
    found = outcome.job_outcome(JOB, [of_its_own({"exitCode": 0, "message": FINISHED})])

    assert found is not None
    assert (found.result, found.metrics["rows"], found.facts["shards"]) == ("Succeeded", 300, 3)


def test_where_there_is_a_collect_main_cannot_report_for_it() -> None:
    collected = {"initContainers": [{"name": "collect"}, {"name": "fetch"}]}

    found = outcome.job_outcome(JOB, [of_its_own({"exitCode": 0, "message": FINISHED}, **collected)])

    assert found is not None
    assert found.result == "Infrastructure"


def test_a_main_without_a_message_is_no_success() -> None:
    found = outcome.job_outcome(JOB, [of_its_own({"exitCode": 0})])

    assert found is not None
    assert (found.result, found.reason) == ("Infrastructure", "NoMessage")


def test_the_audit_record_of_a_result_is_known() -> None:
    found = outcome.job_outcome(JOB, [pod(golden("pod_done_audited.json"))])

    assert found is not None
    assert found.audit == {"number": 12, "sha256": "5e0c2a9b" * 8}


def test_a_pruned_pod_that_also_ran_out_of_memory_was_pruned() -> None:
    """`collect` ended it before that: memory is not what was wrong with its parameters."""
    told = golden("pod_pruned.json")
    message = {**json.loads(told["collect"]["message"]), "oomKills": 1}
    told = {**told, "collect": {**told["collect"], "message": json.dumps(message)}}

    found = outcome.job_outcome(JOB, [pod(told)])

    assert found is not None
    assert (found.result, found.reason) == ("Failed", "Pruned")


@pytest.mark.parametrize(
    ("signal", "is_fault"),
    [(4, True), (6, True), (7, True), (8, True), (11, True), (31, True), (9, False), (15, False)],
)
def test_a_signal_of_the_programs_own_fault_counts_as_its_failure(signal: int, is_fault: bool) -> None:
    assert (outcome.SIGNAL_EXIT_BASE + signal in outcome.CRASH_EXIT_CODES) == is_fault


def test_a_process_that_ran_out_of_memory_does_not_explain_a_main_that_ended_well() -> None:
    told = golden("pod_exit_0_not_uploaded.json")
    collected = json.loads(told["collect"]["message"]) | {"oomKills": 1}

    found = outcome.job_outcome(JOB, [pod({**told, "collect": {**told["collect"], "message": json.dumps(collected)}})])

    assert found is not None
    assert (found.result, found.reason) == ("Infrastructure", "StoreUnreachable")

"""The Jobs of a BatchInference, whole, and what they may not hold."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from flywheel.core.pods.cron_job import Schedule
from flywheel.core.resource.ownership import with_owner
from flywheel.core.resource.values import Digest
from flywheel.core.settings import Settings
from flywheel.kinds.batchinference import children
from flywheel.kinds.batchinference.children import BatchInference
from flywheel.kinds.batchinference.kind import KIND
from flywheel.kinds.batchinference.schema.status import Run
from tests.golden_files import same_as
from tests.kinds.batchinference.situations import DIGEST, PLAN, SPEC
from tests.pod_security import violations
from tests.simulation import NOON, resource

HERE = Path(__file__).parent
EXAMPLE = yaml.safe_load((HERE.parents[2] / "crds/examples/batchinference.yaml").read_text())
FOREIGN = {
    "input": {"s3": {"uri": "s3://acme/in/", "endpoint": "https://s3.example", "secretName": "theirs"}},
    "output": {"s3": {"uri": "s3://mine/out/", "secretName": "mine"}},
}
VOLUME = {"input": {"pvc": {"claimName": "data", "path": "day/"}}}


def batch(**changes: Any) -> BatchInference:
    found: BatchInference = resource(KIND, "scores", {**SPEC, **changes})
    return found


def run(of: BatchInference, phase: str) -> Run:
    facts: dict[str, Any] = {
        "number": 2,
        "phase": phase,
        "spec": "0123456789abcdef",
        "time": NOON,
        "version": "fraud-1",
        "digest": Digest(DIGEST),
        "input": children.input_location(of.spec, NOON),
        "output": children.fill_in(of.spec.output.s3.uri, NOON),
        "plan": None if phase == "Planning" else Digest(PLAN),
        "shards": None if phase == "Planning" else 3,
        "retries": 0,
        "started_at": NOON,
    }
    return Run.model_validate(facts)


def pod(of: BatchInference, phase: str) -> dict[str, Any]:
    found: dict[str, Any] = children.run_job(of, run(of, phase), Settings()).manifest["spec"]["template"]["spec"]
    return found


def containers(spec: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in [*spec["initContainers"], *spec["containers"]]}


def test_the_jobs_of_the_example() -> None:
    flights: BatchInference = resource(KIND, "tomorrow", EXAMPLE["spec"])
    jobs = [with_owner(flights, children.run_job(flights, run(flights, phase), Settings())) for phase in children.STEPS]

    assert same_as(HERE / "golden/jobs.yaml", *jobs)


@pytest.mark.parametrize("phase", list(children.STEPS))
@pytest.mark.parametrize("changes", [{}, FOREIGN, VOLUME], ids=["own", "foreign", "volume"])
def test_every_pod_is_let_into_a_restricted_namespace(phase: str, changes: dict[str, Any]) -> None:
    assert violations(pod(batch(**changes), phase)) == []


@pytest.mark.parametrize("phase", ["Planning", "Scoring"])
def test_who_loads_the_model_has_no_credentials_and_who_has_them_loads_none(phase: str) -> None:
    spec = pod(batch(**FOREIGN), phase)
    found = containers(spec)

    assert "env" not in found["server"]
    assert "shareProcessNamespace" not in spec
    assert found["server"]["args"][found["server"]["args"].index("--http") + 1].startswith("127.0.0.1:")
    assert [mount["name"] for mount in found["server"]["volumeMounts"]] == ["flywheel", "tmp"]
    mounted = [mount["name"] for mount in found["main"]["volumeMounts"]]
    assert {"store", "source-credentials", "output-credentials"} <= set(mounted)
    secrets = {each["name"]: each["secret"]["secretName"] for each in spec["volumes"] if "secret" in each}
    assert (secrets["source-credentials"], secrets["output-credentials"]) == ("theirs", "mine")
    env = {each["name"]: each.get("value") for each in found["main"]["env"]}
    assert env["FLYWHEEL_OUTPUT_FOLDER"] == "/etc/flywheel/output"


def test_finishing_needs_no_model() -> None:
    assert set(containers(pod(batch(), "Finishing"))) == {"fetch", "main"}


def test_a_volume_is_read_and_never_written() -> None:
    spec = pod(batch(**VOLUME), "Scoring")

    (mount,) = [each for each in containers(spec)["main"]["volumeMounts"] if each["name"] == "claim-source"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/flywheel/volumes/source", True)
    assert children.step_params(batch(**VOLUME), run(batch(**VOLUME), "Scoring"))["input"]["volume"] == {"path": "day/"}


def test_no_more_shards_at_once_than_there_are() -> None:
    of = batch(parallelism=50)

    spec = children.run_job(of, run(of, "Scoring"), Settings()).manifest["spec"]

    assert (spec["completions"], spec["parallelism"]) == (3, 3)


@pytest.mark.parametrize(
    ("time", "zone", "name"),
    [
        pytest.param("2026-10-25T01:30:00+02:00", "Europe/Berlin", "2026-10-25T01-30", id="before the clocks go back"),
        pytest.param("2026-10-25T02:30:00+02:00", "Europe/Berlin", "2026-10-25T02-30", id="the hour"),
        pytest.param("2026-10-25T02:30:00+01:00", "Europe/Berlin", "2026-10-25T02-30-again", id="the same hour again"),
        pytest.param("2026-10-25T03:30:00+01:00", "Europe/Berlin", "2026-10-25T03-30", id="the hour after it"),
        pytest.param("2026-11-01T01:30:00-05:00", "America/New_York", "2026-11-01T01-30-again", id="elsewhere"),
        pytest.param("2026-10-25T02:30:00+00:00", "Etc/UTC", "2026-10-25T02-30", id="a zone without a change"),
        pytest.param("2026-10-25T02:30:00+01:00", "Nowhere/Else", "2026-10-25T02-30", id="an unknown zone"),
    ],
)
def test_each_run_of_a_repeated_hour_has_a_name_of_its_own(time: str, zone: str, name: str) -> None:
    schedule = Schedule(cron="30 * * * *", time_zone=zone)

    assert children.fill_in("out/$(run.time)/", datetime.fromisoformat(time), schedule) == f"out/{name}/"

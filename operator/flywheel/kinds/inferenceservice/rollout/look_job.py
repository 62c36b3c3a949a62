"""The Job of one look at an A/B test."""

from datetime import datetime, timedelta
from typing import Any, Literal

from flywheel.core.pods.fetch import Input, hour_folders
from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.step_config.config import StepConfig
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources
from flywheel.core.resource.values import format_time
from flywheel.kinds.inferenceservice.rollout.context import RolloutInProgress
from flywheel.kinds.inferenceservice.rollout.look_rules import end_of_test, next_look
from flywheel.kinds.inferenceservice.rollout.observe import judge_step
from flywheel.kinds.inferenceservice.schema.ab_test import DEFAULT_ALPHA, DEFAULT_LABEL_DELAY, ABTest

LOOK_TIMEOUT = timedelta(hours=1)
LOOK_RESOURCES = Resources(requests={"cpu": "100m", "memory": "256Mi"})
DECIDING_VERDICTS = ("Better", "NotBetter", "Inconclusive")  # which have an audit record


class ABTestArm(StepConfig):
    """A version of an A/B test, whose artifact is the input of that role."""

    version: str
    digest: str


class ABTestConfig(StepConfig):
    """`params.json` of ab-test; numbers as in the spec, shares as fractions."""

    test: str
    metric: str
    min_effect: float
    alpha: float
    share: float
    label_delay_seconds: int
    since: str
    until: str
    final: bool = False
    look: int
    range: dict[Literal["min", "max"], float] | None = None
    champion: ABTestArm
    challenger: ABTestArm


def look_job(rollout: RolloutInProgress, test: ABTest) -> Child:
    """The Job that reads the test's rows and labels until the time of the look; collect records what it decides in the Model's audit chain."""
    service, status = rollout.service, rollout.status
    until = next_look(rollout)
    folder, hours = f"predictions/{service.name}", hour_folders(status.since, until)
    step = Step(
        name=judge_step(status),
        attempt=(status.judgements or 0) + 1,
        image=rollout.settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", "ab-test"),
        params=_config(rollout, test, until).document(),
        inputs=(
            _signature("champion", rollout.champion),
            _signature("challenger", rollout.wanted),
            Input("rows", folder={"path": f"{folder}/rows/", "parts": hours}),
            Input("labels", folder={"path": f"{folder}/labels/", "parts": hours}),
        ),
        timeout=LOOK_TIMEOUT,
        resources=LOOK_RESOURCES,
        placement=service.spec.placement.model_copy(update={"node_selector": {}}),
        pull_secrets=service.spec.image_pull_secrets,
        audit=_audit(rollout, test),
    )
    return step_job(service, step, rollout.settings)


def _signature(role: str, target: ResolvedVersion) -> Input:
    return Input(role, artifact=target.digest, files=("signature.json",), optional=True)


def _config(rollout: RolloutInProgress, test: ABTest, until: datetime) -> ABTestConfig:
    status, bounds = rollout.status, test.range
    given = {"min": bounds.min, "max": bounds.max} if bounds is not None else {}
    return ABTestConfig.model_validate(
        {
            "test": status.test,
            "metric": test.metric,
            "minEffect": test.min_effect.value,
            "alpha": (test.alpha or DEFAULT_ALPHA).fraction,
            "share": rollout.step.percent / 100,
            "labelDelaySeconds": (test.label_delay or DEFAULT_LABEL_DELAY).seconds,
            "since": format_time(status.since),
            "until": format_time(until),
            "final": until >= end_of_test(rollout),
            "look": (status.judgements or 0) + 1,
            **({"range": {name: each.value for name, each in given.items() if each is not None}} if given else {}),
            "champion": {"version": rollout.champion.version, "digest": rollout.champion.digest},
            "challenger": {"version": rollout.wanted.version, "digest": rollout.wanted.digest},
        }
    )


def _audit(rollout: RolloutInProgress, test: ABTest) -> dict[str, Any] | None:
    """The record of the test's end; None where the version's Model is not known."""
    if not rollout.seen.model:
        return None
    entry = {
        "event": "ABTested",
        "version": rollout.wanted.version,
        "digest": rollout.wanted.digest,
        "champion": rollout.champion.version,
        "championDigest": rollout.champion.digest,
        "service": rollout.service.name,
        "test": rollout.status.test,
        "since": format_time(rollout.status.since),
        "rule": test.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    return {"model": rollout.seen.model, "entries": [entry], "champion": None, "verdicts": list(DECIDING_VERDICTS)}

"""Before a run's first step: pipeline, revision, parameters and data, chosen once and kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from flywheel.core.resource.api import Manifest
from flywheel.core.resource.conditions import is_ready
from flywheel.core.resource.plan import Plan
from flywheel.core.resource.values import Digest, Duration
from flywheel.kinds.trainingpipeline.schema.parameters import Source
from flywheel.kinds.trainingpipeline.schema.template import Template
from flywheel.kinds.trainingpipeline.schema.validation import template_problems
from flywheel.kinds.trainingrun import messages
from flywheel.kinds.trainingrun.observe import Seen
from flywheel.kinds.trainingrun.parameters import Refused, Value, Values, parameters, recalled, told
from flywheel.kinds.trainingrun.progress import values_of
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import InputUsed
from flywheel.kinds.trainingrun.steps.sampling import WHOLE

FACTS = {"task": "task", "classes": "classes", "rows": "rows", "testDigest": "testDigest"}


@dataclass(frozen=True)
class Begun:
    """What a run works with until its end."""

    template: Template
    values: Values
    inputs: Mapping[str, InputUsed]
    status: TrainingRunStatus
    timeout: Duration | None
    deadline: datetime | None


def begin(run: TrainingRun, seen: Seen) -> Begun | Plan:
    """All of it, or the plan to wait for what is missing, or to refuse what cannot work."""
    if run.spec.cancel and run.status.start_time is None:
        return _ended(run, seen, "Cancelled", "Cancelled", "The run was cancelled before it started.")
    if not seen.original_found:
        return _waits(run, "RunNotFound", messages.no_original(run))
    if seen.frozen is None:
        return _waits(run, *messages.no_revision(run, seen))
    template = seen.frozen.template
    wrong = template_problems(template)
    if wrong:
        return _ended(
            run,
            seen,
            "Failed",
            "PipelineInvalid",
            f"{wrong[0]} Correct TrainingPipeline '{run.spec.pipeline}', and start a new run.",
        )
    try:
        given = _parameters(run, seen, template)
    except Refused as refused:
        return _ended(run, seen, "Failed", "ParameterInvalid", f"{refused} Start a new run with other parameters.")
    inputs = _inputs(run, seen, template)
    missing = next(
        (messages.no_data(run, each, seen.datasets.get(each.dataset)) for each in inputs if each.digest is None), None
    )
    status = run.status.model_copy(
        update={"revision": seen.frozen.name, "parameters": told(given), "inputs": tuple(inputs)}
    )
    if missing is not None:
        return _waits(run, *missing, status=status)
    if run.spec.suspend and run.status.start_time is None:
        return _waits(run, "Suspended", messages.suspended(run), status=status, progressing=False)
    started = run.status.start_time or seen.now.replace(microsecond=0)
    timeout = Duration(str(seen.frozen.test.get("timeout", "30m"))) if run.spec.test else template.timeout
    return Begun(
        template=template,
        values=values_of(run, given, seen.now),
        inputs={f"{each.name}{WHOLE}" if run.spec.test else each.name: each for each in inputs},
        status=status.model_copy(update={"start_time": started}),
        timeout=timeout,
        deadline=started + timeout.timedelta if timeout else None,
    )


def _parameters(run: TrainingRun, seen: Seen, template: Template) -> dict[str, Value]:
    if run.status.start_time is not None:
        return recalled(run.status.parameters)
    if seen.original is not None:
        return recalled(seen.original.parameters)
    return parameters(template.parameters, run.spec.parameters or {})


def _inputs(run: TrainingRun, seen: Seen, template: Template) -> list[InputUsed]:
    """As status has them once the run has started; one without a digest is waited for."""
    kept = seen.original.inputs if seen.original is not None else run.status.inputs if run.status.start_time else ()
    known = {each.name: each for each in kept}
    return [
        known.get(str(each.name)) or _current(each, seen.datasets.get(str(each.dataset))) for each in template.inputs
    ]


def _current(source: Source, dataset: Manifest | None) -> InputUsed:
    nothing = InputUsed(name=str(source.name), dataset=str(source.dataset), version=source.version)
    status = (dataset or {}).get("status") or {}
    versions = status.get("versions") or ()
    if source.version is not None:
        chosen = next((each for each in versions if each["name"] == source.version), None)
    else:
        chosen = versions[0] if versions and is_ready(dataset or {}) else None
    if chosen is None:
        return nothing
    facts = {ours: str(chosen[theirs]) for theirs, ours in FACTS.items() if chosen.get(theirs) is not None}
    return nothing.model_copy(update={"version": chosen["name"], "digest": Digest(chosen["digest"]), "facts": facts})


def _waits(
    run: TrainingRun,
    reason: str,
    message: str,
    *,
    status: TrainingRunStatus | None = None,
    progressing: bool | None = None,
) -> Plan:
    known = status or run.status
    return Plan(
        ready=False,
        reason=reason,
        message=message,
        status=known,
        summary=f"waiting: {reason}",
        progressing=progressing,
    )


def _ended(run: TrainingRun, seen: Seen, result: str, reason: str, message: str) -> Plan:
    now = seen.now.replace(microsecond=0)
    told_ = {"result": result, "reason": reason, "message": message[:1024], "completion_time": now}
    status = run.status.model_copy(update=told_)
    return Plan(
        ready=False,
        succeeded=False,
        stalled=True,
        reason=reason,
        message=message,
        status=status,
        summary=messages.summary(status),
        children=(),
    )

"""What a run needs before its first step: a revision, parameters and data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from flywheel.core.resource import names
from flywheel.core.resource.api import Manifest
from flywheel.core.resource.conditions import is_ready
from flywheel.core.resource.plan import Decision, Plan
from flywheel.core.resource.restrictions import find_violation
from flywheel.core.resource.values import Digest, Duration
from flywheel.kinds.trainingpipeline.schema import Template
from flywheel.kinds.trainingpipeline.schema.inputs import Source
from flywheel.kinds.trainingpipeline.schema.validation import template_problems
from flywheel.kinds.trainingrun import messages
from flywheel.kinds.trainingrun.observe import RevisionSeen, Seen
from flywheel.kinds.trainingrun.parameters import (
    InvalidInput,
    Value,
    Values,
    from_status,
    resolve_parameters,
    to_status,
)
from flywheel.kinds.trainingrun.result import result_decision, with_result
from flywheel.kinds.trainingrun.schema import TrainingRun, TrainingRunStatus
from flywheel.kinds.trainingrun.schema.status import InputUsed
from flywheel.kinds.trainingrun.start.run_outputs import output_problem, resolve_output
from flywheel.kinds.trainingrun.steps.attempt import RunContext
from flywheel.kinds.trainingrun.steps.sampling import whole_name, with_sampling_steps

DATASET_FACTS = ("task", "classes", "rows", "testDigest")  # of a version, for steps that use it
DEFAULT_TEST_TIMEOUT, DEFAULT_TEST_SAMPLE = "30m", "1%"


@dataclass(frozen=True)
class StartedRun:
    """A run that has started: what its steps share, its status so far, and when it times out."""

    context: RunContext
    status: TrainingRunStatus
    timeout: Duration | None
    deadline: datetime | None


def start_run(run: TrainingRun, seen: Seen) -> StartedRun | Plan:
    """The started run; or the plan to wait for what is missing, or to end a run that cannot work."""
    if run.spec.cancel and run.status.start_time is None:
        return _end(run, seen, "Cancelled", "Cancelled", "The run was cancelled before it started.")
    if run.spec.reproduce_of is not None and seen.original is None:
        return _wait(run.status, "RunNotFound", messages.original_not_found(run))
    if seen.revision is None:
        return _wait(run.status, *messages.no_revision(run, seen.pipeline))
    problems = template_problems(seen.revision.template)
    if problems:
        step = f"Correct TrainingPipeline '{run.spec.pipeline}', and start a new run."
        return _end(run, seen, "Failed", "PipelineInvalid", f"{problems[0]} {step}")
    has_started = run.status.start_time is not None
    violation = None if has_started else find_violation(seen.revision.template, seen.settings)
    if violation is not None:
        return _end(
            run, seen, "Failed", violation.reason, f"TrainingPipeline '{run.spec.pipeline}': {violation.message}"
        )
    try:
        parameters = _parameters(run, seen, seen.revision.template)
    except InvalidInput as error:
        return _end(run, seen, "Failed", "ParameterInvalid", f"{error} Start a new run with other parameters.")
    return _start_with(run, seen, seen.revision, parameters)


def _start_with(
    run: TrainingRun, seen: Seen, revision: RevisionSeen, parameters: Mapping[str, Value]
) -> StartedRun | Plan:
    inputs = _inputs(run, seen, revision.template)
    resolved = {"revision": revision.name, "parameters": to_status(parameters), "inputs": inputs}
    status = run.status.model_copy(update=resolved)
    lost = next(filter(None, (output_problem(run, each, seen.sources.get(each.name)) for each in inputs)), None)
    if lost is not None:
        return _end(run, seen, "Failed", *lost)
    missing = next((each for each in inputs if each.digest is None), None)
    if missing is not None and missing.pipeline is not None:
        return _wait(status, *messages.no_success(run, missing))
    if missing is not None:
        return _wait(status, *messages.no_data(run, missing, seen.datasets.get(missing.dataset or "")))
    if run.spec.suspend and run.status.start_time is None:
        return _wait(status, "Suspended", messages.suspension(run), progressing=False)
    started, pipeline = run.status.start_time or seen.now, seen.pipeline or {"metadata": {}}
    test = run.spec.test
    timeout = Duration(str(revision.test.get("timeout", DEFAULT_TEST_TIMEOUT))) if test else revision.template.timeout
    context = RunContext(
        run=run,
        template=with_sampling_steps(revision.template) if test else revision.template,
        values=Values(parameters, _run_date(run)),
        inputs={
            whole_name(source) if test else each.name: each
            for source, each in zip(revision.template.inputs, inputs, strict=True)
        },
        settings=seen.settings,
        original=seen.original,
        sample=_sample(revision) if test else None,
        tags={**names.user_labels(pipeline["metadata"].get("labels") or {}), **names.user_labels(run.labels)},
        feature_sets=seen.feature_sets,
        retention=((pipeline.get("spec") or {}).get("retention") or {}).get("tracking"),
    )
    status = status.model_copy(update={"start_time": started})
    return StartedRun(context, status, timeout, started + timeout.timedelta if timeout else None)


def _parameters(run: TrainingRun, seen: Seen, template: Template) -> dict[str, Value]:
    if run.status.start_time is not None:
        return from_status(run.status.parameters)
    if seen.original is not None:
        return from_status(seen.original.parameters)
    return resolve_parameters(template.parameters, run.spec.parameters or {})


def _inputs(run: TrainingRun, seen: Seen, template: Template) -> tuple[InputUsed, ...]:
    """The version for each input: the one that the run, or the run that it reproduces, started with, else the current one.

    An input without a digest is not available yet.
    """
    started = run.status.inputs if run.status.start_time else ()
    known = {each.name: each for each in (seen.original.inputs if seen.original is not None else started)}
    return tuple(known.get(str(each.name)) or _current_data(each, seen) for each in template.inputs)


def _current_data(source: Source, seen: Seen) -> InputUsed:
    if source.run is not None:
        return resolve_output(str(source.name), source.run, seen.sources.get(str(source.name)))
    return _current_version(source, seen.datasets.get(str(source.dataset)))


def _current_version(source: Source, dataset: Manifest | None) -> InputUsed:
    unresolved = InputUsed(name=str(source.name), dataset=str(source.dataset), version=source.version)
    versions = ((dataset or {}).get("status") or {}).get("versions") or ()
    if source.version is not None:
        version = next((each for each in versions if each["name"] == source.version), None)
    else:
        version = versions[0] if versions and is_ready(dataset or {}) else None
    if version is None:
        return unresolved
    facts = {name: str(version[name]) for name in DATASET_FACTS if version.get(name) is not None}
    resolved = {"version": version["name"], "digest": Digest(version["digest"]), "facts": facts}
    return unresolved.model_copy(update=resolved)


def _run_date(run: TrainingRun) -> date:
    """The date for which a schedule started the run, else that on which it was created."""
    cause = run.spec.cause
    return (cause.scheduled if cause and cause.scheduled else run.created).date()


def _sample(revision: RevisionSeen) -> str:
    percent = str(revision.test.get("sample", DEFAULT_TEST_SAMPLE))
    return f"{float(percent.rstrip('%')) / 100:g}"


def _wait(status: TrainingRunStatus, reason: str, message: str, *, progressing: bool | None = None) -> Plan:
    decision = Decision(ready=False, reason=reason, message=message, progressing=progressing)
    return decision.plan(status, summary=f"waiting: {reason}", children=None)


def _end(run: TrainingRun, seen: Seen, result: str, reason: str, message: str) -> Plan:
    status = with_result(run.status, seen.now, result, reason, message)
    return result_decision(status).plan(status, summary=messages.summary(status))

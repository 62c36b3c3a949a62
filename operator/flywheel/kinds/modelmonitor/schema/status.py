"""What is read from a ModelMonitor: what it found, up to when, and its last run."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import (
    LIST_MAP_BY_NAME,
    InternalErrorCount,
    LongText,
    MessageText,
    NameText,
    NumberText,
    Schema,
    ShortText,
    Status,
)
from flywheel.core.resource.values import Digest
from flywheel.kinds.modelmonitor.schema.notification import MAX_NOTIFICATIONS, Notification

DATA_HEALTHY, NO_DRIFT, ESTIMATED_PERFORMING, PERFORMING, SERVICE_HEALTHY, FAIR = SIGNAL_CONDITIONS = (
    "DataHealthy",
    "NoDrift",
    "EstimatedPerforming",
    "Performing",
    "ServiceHealthy",
    "Fair",
)
MAX_FINDINGS = 20
MAX_FEATURES = 10
MAX_VERSIONS = 8


class Run(Schema):
    """The current run, or the last one."""

    number: int = Field(description="Number of its Job; numbers are not reused.")
    from_: datetime = Field(alias="from", description="Start of its first window.")
    until: datetime = Field(description="End of its last window.")
    skipped: int | None = Field(None, description="Number of windows before its first one that are too long ago.")
    backlog: int | None = Field(
        None,
        description="Number of windows that had ended when it started and that it leaves to the runs that follow at once.",
    )
    max_windows: int | None = Field(
        None,
        description="Largest number of windows of a run until it has caught up, where one with more ran out of memory, storage or time.",
    )
    tick: datetime | None = Field(None, description="Time of the newest tick of the schedule that caused it.")
    request: str | None = Field(
        None, max_length=256, description="The value of annotation flywheel.ml/run-requested that caused it."
    )
    result: Literal["Running", "Succeeded", "Failed", "Retrying"] = Field(description="Its result.")
    reason: ShortText | None = Field(None, description="Why it failed, as one CamelCase word.")
    message: LongText | None = Field(None, description="Why it failed, as a sentence.")
    retries: int = Field(description="Number of consecutive retries.")
    internal_errors: InternalErrorCount = None
    not_before: datetime | None = Field(None, description="Time of the next attempt.")
    finished_at: datetime | None = Field(None, description="Time when it finished.")


class WindowCounts(Schema):
    """Traffic of the windows of the last run."""

    from_: datetime = Field(alias="from", description="Start of the first window.")
    until: datetime = Field(description="End of the last window.")
    rows: int = Field(description="Number of rows that were counted.")
    requests: int = Field(description="Number of requests that were counted.")
    completeness: NumberText | None = Field(
        None, description="Share of the served requests that were counted, where the counts show it."
    )


class MonitoredVersion(Schema):
    """A version whose traffic the last run saw, or that labels may still come for."""

    version: NameText = Field(description="The ModelVersion.")
    digest: Digest | None = Field(None, description="Digest of its artifact.")
    rows: int = Field(description="Number of its rows in the windows of the last run.")
    last_seen: datetime | None = Field(None, description="End of the last window of the last run that had rows of it.")


class Finding(Schema):
    """Something that differs from the reference by more than the threshold, with the evidence that the budget requires."""

    name: NameText = Field(description="Signal, version and subject.")
    signal: ShortText = Field(description="The signal, such as featureDrift.")
    subject: NameText = Field(description="The feature, or predictions.")
    version: NameText | None = Field(None, description="The ModelVersion.")
    measure: ShortText | None = Field(
        None, description="What the effect is in: psi, or missing and the like, whose share increased."
    )
    effect: NumberText | None = Field(None, description="Size of the difference, in the unit of the threshold.")
    threshold: NumberText | None = Field(None, description="The threshold that it exceeds.")
    since: datetime | None = Field(None, description="Since when, as far as the evidence shows.")
    evidence: NumberText | None = Field(
        None, description="Decimal logarithm of the odds that the evidence gives against no effect above the threshold."
    )
    share: NumberText | None = Field(None, description="Share of the traffic that it concerns.")
    problem: Literal["NotFinite", "ConstantOutput", "ModelFailed"] | None = Field(
        None,
        description="What is wrong with the model's answers, if the finding is of them: they are NaN or infinite (NotFinite), all the same (ConstantOutput), or the model fails on requests (ModelFailed).",
    )
    message: MessageText | None = Field(None, description="The finding as a sentence.")


class Budget(Schema):
    """The budget of false alarms."""

    alarms: int = Field(description="Number of alarms in the last period of spec.falseAlarms.per, true and false ones.")
    since: datetime | None = Field(None, description="Since when they are counted.")
    left: NumberText | None = Field(
        None, description="Number of alarms that the budget of that period still allows; never below 0."
    )


class FeatureDrift(Schema):
    """A feature's distance from the reference."""

    name: NameText = Field(description="The feature.")
    psi: NumberText = Field(description="Its population stability index in the last window.")


class LabelWindows(Schema):
    """Windows whose logged rows or labels could not be read."""

    waiting: int = Field(
        description="Number of frozen windows that are tested as soon as their labels can be read, for at most a day.",
    )
    untested: int = Field(
        description="Number of windows that were never tested, since their rows or labels could not be read in time."
    )


class RefusedRows(Schema):
    """Logged rows whose labels do not count, for one reason."""

    reason: ShortText = Field(description="Ambiguous, Conflicts, Outliers or OverShare.")
    rows: int = Field(description="Number of rows in the windows of the last run.")


class RefusedSource(Schema):
    """A source of labels that do not count."""

    source: NameText = Field(
        description="Who posted them: the name of a ServiceAccount, or the pseudonym of another caller."
    )
    rows: int = Field(description="Number of rows for which it posted a label that does not count.")


class RefusedLabels(Schema):
    """Labels that do not count, so that nothing follows from them."""

    admitted: int = Field(description="Number of rows whose labels count, in the windows of the last run.")
    reasons: tuple[RefusedRows, ...] = Field((), max_length=8, description="Rows whose labels do not, by reason.")
    sources: tuple[RefusedSource, ...] = Field((), max_length=3, description="Who posted the most of them.")


class StoredState(Schema):
    """What the next run goes on from."""

    digest: Digest = Field(description="The artifact.")


class StoredReport(Schema):
    """The report of the last run."""

    digest: Digest = Field(description="The artifact, with report.html and report.json.")


class ModelMonitorStatus(Status):
    """What was found, up to when, and the last run."""

    processed_until: datetime | None = Field(None, description="End of the last window that was tested.")
    window: WindowCounts | None = Field(None, description="Traffic of the windows of the last run.")
    versions: tuple[MonitoredVersion, ...] = Field(
        (),
        max_length=MAX_VERSIONS,
        description="Versions that had traffic in the last run, and those before whose windows may still get labels.",
    )
    findings: tuple[Finding, ...] = Field(
        (),
        max_length=MAX_FINDINGS,
        description="The largest findings. The report has all of them.",
        json_schema_extra=LIST_MAP_BY_NAME,
    )
    finding_count: int | None = Field(None, description="Number of all findings, with those that only the report has.")
    features: tuple[FeatureDrift, ...] = Field(
        (), max_length=MAX_FEATURES, description="The features that are furthest from the reference."
    )
    budget: Budget | None = Field(None, description="The budget of false alarms.")
    report: StoredReport | None = Field(None, description="The report of the last run.")
    state: StoredState | None = Field(None, description="What the next run goes on from.")
    skipped_windows: int | None = Field(
        None,
        description="Number of windows that were never tested, since they were more than a week ago when a run started.",
    )
    label_windows: LabelWindows | None = Field(
        None, description="Windows whose logged rows or labels could not be read; absent where there are none."
    )
    refused_labels: RefusedLabels | None = Field(
        None,
        description="Labels that do not count, by spec.groundTruth.guards or since they differ; absent where there are none.",
    )
    notifications: tuple[Notification, ...] = Field(
        (), max_length=MAX_NOTIFICATIONS, description="The last notifications of spec.notify, the oldest first."
    )
    run: Run | None = Field(None, description="The current run, or the last one.")

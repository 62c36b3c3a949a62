"""The messages of a Dataset's conditions, and its summary."""

from flywheel.core.diagnosis.internal_error import INTERNAL_ERROR
from flywheel.core.resource.schema import ClaimLocation
from flywheel.kinds.dataset.children import REQUEST_ANNOTATION, Dataset
from flywheel.kinds.dataset.schema.spec import HttpSource, S3Source
from flywheel.kinds.dataset.schema.sql_source import SqlSource
from flywheel.kinds.dataset.schema.status import Version


def check_runs(dataset: Dataset, job: str) -> str:
    """The first check of a spec runs."""
    return f"Job '{job}' compares the data of {_source(dataset)} with its schema."


def check_passed(version: Version) -> str:
    """The check of a version passed: its rows, its split and its warnings."""
    rows = f"{version.rows:,} rows" if version.rows is not None else "all rows"
    splits = version.splits
    divided = (
        f" ({splits.train:,} to train, {splits.validation:,} to validate, {splits.test:,} to test)" if splits else ""
    )
    listed = "; ".join(warning.strip().rstrip(".") for warning in version.warnings)
    warnings = f" Warnings: {listed}." if listed else ""
    return f"Version {version.name} has {rows}{divided} and passed its check.{warnings}"


def next_step(dataset: Dataset, reason: str) -> str:
    """What to do about a check that failed."""
    if dataset.spec.schedule is not None:
        return f"The data is checked again at the next tick of '{dataset.spec.schedule.cron}' ({dataset.spec.schedule.time_zone})."
    mended = (
        "With another release of Flywheel,"
        if reason == INTERNAL_ERROR
        else "Change the spec; or correct the data, and then"
    )
    return (
        f"{mended} request another check with "
        f"'kubectl annotate fwds {dataset.name} -n {dataset.namespace} --overwrite {REQUEST_ANNOTATION}=\"$(date)\"'."
    )


def summary(version: Version | None, reason: str) -> str:
    """`327,346 rows, version flights-3f9a1c2e, 1 warning`."""
    if version is None:
        return "no version yet" if reason in ("Checking", "Suspended") else f"no version yet: {reason}"
    rows = f"{version.rows:,} rows, " if version.rows is not None else ""
    count = len(version.warnings)
    return f"{rows}version {version.name}" + (f", {count} warning{'s' * (count > 1)}" if count else "")


def _source(dataset: Dataset) -> str:
    match dataset.spec.source.location:
        case S3Source(uri=uri):
            return f"'{uri}'"
        case HttpSource(url=url):
            return f"'{url}'"
        case SqlSource() as sql:
            rows = f"table '{sql.table}'" if sql.table else "a query"
            return f"{rows} in {sql.engine} database '{sql.database}' at {sql.host}"
        case ClaimLocation() as claim:
            return f"'{claim.path}' in PersistentVolumeClaim '{claim.claim_name}'"

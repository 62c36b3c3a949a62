"""The messages of a BatchInference's conditions, and its summary."""

from flywheel.core.diagnosis.internal_error import last_failure
from flywheel.kinds.batchinference.children import REQUEST_ANNOTATION, BatchInference
from flywheel.kinds.batchinference.schema.status import Run


def job_runs(run: Run, job: str) -> str:
    """What the run's Job does, and why the one before failed, if that is repeated."""
    return f"{_what_job_does(run, job)}{last_failure(run.retries, run.reason, run.message)}"


def _what_job_does(run: Run, job: str) -> str:
    if run.phase == "Planning":
        return f"Job '{job}' reads '{run.input}' for version {run.version}, and scores it or divides it into shards."
    if run.phase == "Finishing":
        return f"Job '{job}' merges the parts of {run.shards} shards in '{run.output}'."
    return f"Job '{job}' scores {run.rows or 0:,} rows of '{run.input}' with version {run.version}. {shards(run)}{_warning(run)}"


def shards(run: Run) -> str:
    """How far it is."""
    if run.shards is None:
        return "Nothing is scored yet."
    return f"{run.shards_done or 0} of {run.shards} shards are done."


def run_succeeded(run: Run) -> str:
    """What the run gave."""
    errors = run.row_errors or 0
    failed = f" {errors:,} rows could not be scored; see '{run.output}_errors/'." if errors else ""
    scored = f"Version {run.version} scored {run.rows_done or 0:,} rows of '{run.input}' into '{run.output}'."
    return f"{scored}{failed}{_warning(run)}"


def _warning(run: Run) -> str:
    return f" {run.warning}" if run.warning else ""


def next_step(batch: BatchInference) -> str:
    """What to do about a run that failed."""
    if batch.spec.schedule is not None:
        return f"The next run comes at the next tick of '{batch.spec.schedule.cron}' ({batch.spec.schedule.time_zone})."
    return (
        "Change the spec; or correct what it found, and then request another run with "
        f"'kubectl annotate fwbatch {batch.name} -n {batch.namespace} --overwrite {REQUEST_ANNOTATION}=\"$(date)\"'."
    )


def summary(run: Run | None, reason: str) -> str:
    """`12/16 shards, 1,200,000 rows, 3 row errors, 82,000 rows/s`."""
    if run is None:
        return "no run yet"
    if run.phase == "Planning":
        return "reading the input" if reason == "Planning" else f"no output yet: {reason}"
    parts = [
        f"{run.shards_done or 0}/{run.shards} shards" if run.phase != "Succeeded" and run.shards else "",
        f"{run.rows_done:,} rows" if run.rows_done is not None else "",
        f"{run.row_errors:,} row error{'s' * (run.row_errors > 1)}" if run.row_errors else "",
        f"{run.rows_per_second:,} rows/s" if run.rows_per_second else "",
    ]
    return ", ".join(part for part in parts if part) or reason

"""The Job of a run as it will be, whatever the service: `flywheel test` has the API server validate it in advance."""

from collections.abc import Iterable
from datetime import UTC

from flywheel.core.pods.cron_job import cron_jobs
from flywheel.core.resource.plan import Child
from flywheel.core.settings import Settings
from flywheel.kinds.modelmonitor import children
from flywheel.kinds.modelmonitor.children import ModelMonitor
from flywheel.kinds.modelmonitor.schema.status import Run


def preview(monitor: ModelMonitor, settings: Settings) -> Iterable[Child]:
    """The CronJob, and the Job of one window."""
    until = monitor.created.astimezone(UTC)
    start = until - monitor.spec.window.timedelta
    run = Run.model_validate({"number": 1, "from": start, "until": until, "result": "Running", "retries": 0})
    source = "Batch" if monitor.spec.batch_inference else ""
    ticks = cron_jobs(monitor, monitor.spec.schedule, suspend=monitor.spec.suspend)
    return (*ticks, children.monitor_job(monitor, run, {}, settings, stored_rows=source))

"""The Job that notifies the webhook, by the command of the pipelines' step notify, and the document that it sends."""

from datetime import timedelta
from typing import Any

from flywheel.core.pods.job import Step, step_job
from flywheel.core.pods.step_config.monitoring import NotifyConfig
from flywheel.core.resource import names
from flywheel.core.resource.plan import Child
from flywheel.core.resource.schema import Resources, Variable, Webhook
from flywheel.core.resource.values import format_time
from flywheel.core.settings import Settings
from flywheel.kinds.modelmonitor.children import NOTIFY_PREFIX, ModelMonitor
from flywheel.kinds.modelmonitor.schema.notification import Notification
from flywheel.kinds.modelmonitor.schema.status import Finding, ModelMonitorStatus

NOTIFY = "notify"
TIMEOUT = timedelta(minutes=2)
RESOURCES = Resources(requests={"cpu": "50m", "memory": "64Mi"})


def notification_step(notification: Notification) -> str:
    """The name of the step. It is the same for all attempts, so that the receiver gets the same Idempotency-Key."""
    return f"{NOTIFY_PREFIX}{notification.run}"


def notification_job_name(monitor: ModelMonitor, notification: Notification) -> str:
    """The name of the Job of its attempt."""
    return names.job(monitor, notification_step(notification), notification.attempt)


def notification_job(
    monitor: ModelMonitor, webhook: Webhook, notification: Notification, document: dict[str, Any], settings: Settings
) -> Child:
    """The Job of one attempt."""
    url = {"url": webhook.url} if webhook.url else {}
    config = NotifyConfig(body=document, allowed_hosts=settings.allowed_http_hosts, **url)
    step = Step(
        name=notification_step(notification),
        attempt=notification.attempt,
        image=settings.runtime_image,
        command=("python3", "-m", "flywheel_runtime", NOTIFY),
        params=config.document(),
        timeout=TIMEOUT,
        resources=RESOURCES,
        placement=monitor.spec.placement,
        env=(Variable(name="NOTIFY_URL", secret=webhook.secret),) if webhook.secret else (),
    )
    return step_job(monitor, step, settings)


def notification_document(
    monitor: ModelMonitor, status: ModelMonitorStatus, conditions: dict[str, tuple[str, str]]
) -> dict[str, Any]:
    """What is sent: the conditions that became False with reason and message, and the findings of the run. `text` is for chats."""
    said = " ".join(f"{type_} is False: {message}" for type_, (_, message) in conditions.items())
    document: dict[str, Any] = {
        "monitor": monitor.name,
        "namespace": monitor.namespace,
        ("batchInference" if monitor.spec.batch_inference else "inferenceService"): monitor.spec.target,
        "text": f"ModelMonitor '{monitor.name}' in namespace '{monitor.namespace}': {said}",
        "conditions": [
            {"type": type_, "reason": reason, "message": message} for type_, (reason, message) in conditions.items()
        ],
        "findings": [_describe(each) for each in status.findings],
    }
    if status.processed_until is not None:
        document["until"] = format_time(status.processed_until)
    if status.report is not None:
        document["report"] = {
            "path": f"/v1/namespaces/{monitor.namespace}/modelmonitors/{monitor.name}/report",
            "digest": str(status.report.digest),
        }
    return document


def _describe(finding: Finding) -> dict[str, Any]:
    return finding.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"name"})

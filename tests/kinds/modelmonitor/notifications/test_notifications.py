"""The webhook of a ModelMonitor is notified once of each condition that becomes False."""

from typing import Any

from flywheel.core.resource import names
from flywheel.core.resource.api import JOB, Reference
from tests.kinds.modelmonitor.situations import DRIFT, QUIET, Monitor
from tests.simulation import terminated_state
from tests.simulation.resources import params

SECRET = {"secret": {"name": "chat", "key": "url"}}
UNSENT = {
    "v": 1,
    "reason": "NotifyFailed",
    "message": "Host 'chat.example' did not take the notification.",
    "retry": True,
}
REFUSED = {"v": 1, "reason": "HostNotAllowed", "message": "Host 'chat.example' is not allowed.", "retry": False}
SENT = {"v": 1, "phase": "Finished", "complete": True, "outputs": {}, "metrics": {}, "facts": {}}


class Notified(Monitor):
    """A ModelMonitor with a webhook, whose second run finds drift."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**{"notify": SECRET, **changes})
        self.tick_and_run(QUIET)
        self.advance(hours=1)
        self.tick_and_run(DRIFT, "drift-2")

    @property
    def notifying(self) -> list[str]:
        """The Jobs that notify."""
        steps = {each["metadata"]["name"]: each["metadata"]["labels"].get(names.STEP_LABEL, "") for each in self.jobs()}
        return [name for name, step in steps.items() if step.startswith("notify-")]

    def name(self, attempt: int, run: int = 2) -> str:
        return names.job(self.resource, f"notify-{run}", attempt)

    def document(self, attempt: int = 1) -> Any:
        """params.json of the Job."""
        return params(self.manifest(Reference(JOB, self.subject.namespace, self.name(attempt))))

    def end_attempt(self, attempt: int, report: dict[str, Any] | None = None) -> None:
        """Lets the Job send the notification, or end with that report of main."""
        if report is None:
            self.end_job(self.name(attempt), main=terminated_state(0), init={"collect": terminated_state(0, SENT)})
        else:
            main = terminated_state(1 if report["retry"] else 2, report)
            self.end_job(self.name(attempt), failed=True, main=main)
        self.settle()

    @property
    def results(self) -> list[tuple[int, int, str]]:
        return [(each.run, each.attempt, each.result) for each in self.status.notifications]


def test_an_alarm_is_sent_once_with_its_condition_and_findings() -> None:
    monitor = Notified()

    assert monitor.notifying == [monitor.name(1)]
    document = monitor.document()
    assert document["body"]["text"].startswith("ModelMonitor 'drift' in namespace 'default': NoDrift is False: ")
    assert document["body"]["conditions"] == [{"type": "NoDrift", "reason": "Drifted", "message": "'distance' drifts."}]
    assert [each["subject"] for each in document["body"]["findings"]] == ["distance"]
    assert document["body"]["report"]["path"] == "/v1/namespaces/default/modelmonitors/drift/report"
    assert "url" not in document

    monitor.end_attempt(1)
    assert (monitor.results, monitor.notifying) == ([(2, 1, "Sent")], [])
    monitor.advance(hours=1)
    monitor.tick_and_run(DRIFT, "drift-3")
    assert (monitor.results, monitor.notifying) == ([(2, 1, "Sent")], []), "the condition was False already"


def test_a_host_that_does_not_respond_is_tried_again_under_the_same_key_and_given_up_with_an_event() -> None:
    monitor = Notified()
    for attempt in range(1, 7):
        steps = {each["metadata"]["labels"].get(names.STEP_LABEL) for each in monitor.jobs()}
        assert "notify-2" in steps
        monitor.end_attempt(attempt, UNSENT)
        monitor.advance(minutes=10)
        monitor.settle()

    [notification] = monitor.status.notifications
    assert (notification.attempt, notification.result, notification.reason) == (6, "Failed", "NotifyFailed")
    assert monitor.events()[-1] == "NotificationFailed"
    assert monitor.condition["Ready"][0] == "True"


def test_a_host_that_is_not_allowed_is_not_tried_again() -> None:
    monitor = Notified()
    monitor.end_attempt(1, REFUSED)
    monitor.advance(hours=1)
    monitor.settle()

    assert (monitor.results, monitor.notifying) == ([(2, 1, "Failed")], [])


def test_an_operator_that_dies_before_it_writes_the_status_makes_no_second_job() -> None:
    monitor = Monitor(notify=SECRET)
    monitor.add_tick("drift-1")
    monitor.settle()
    monitor.end(1, DRIFT)
    monitor.reconcile_and_lose_status()
    made = [each["metadata"]["uid"] for each in monitor.jobs()]
    monitor.settle()

    jobs = {each["metadata"]["labels"].get(names.STEP_LABEL): each["metadata"]["uid"] for each in monitor.jobs()}
    assert jobs["notify-1"] in made
    assert [(each.run, each.result) for each in monitor.status.notifications] == [(1, "Running")]


def test_a_job_that_is_deleted_is_made_again() -> None:
    monitor = Notified()
    monitor.cluster.remove(Reference(JOB, "default", monitor.name(1)))
    monitor.settle()

    assert monitor.notifying == [monitor.name(1)]


def test_without_a_webhook_nothing_is_sent() -> None:
    monitor = Notified(notify=None)

    assert (monitor.results, monitor.notifying) == ([], [])


def test_status_has_the_last_ones() -> None:
    monitor = Notified()
    for number in range(8):
        for facts in (QUIET, DRIFT):
            for name in monitor.notifying:
                monitor.end_job(name, main=terminated_state(0), init={"collect": terminated_state(0, SENT)})
                monitor.settle()
            monitor.advance(hours=1)
            monitor.tick_and_run(facts, f"drift-{number}-{facts is DRIFT}")

    assert [run for run, _, _ in monitor.results] == [10, 12, 14, 16, 18]

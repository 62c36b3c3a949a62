"""`fw.train` and what it returns."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flywheel.client.errors import FlywheelError
from flywheel.client.objects.live_objects import POLL_SECONDS, LiveObject
from flywheel.client.training.experiment_manifest import TrainingOptions, experiment_manifest
from flywheel.client.training.log_stream import LogStream, clean_line
from flywheel.client.trial_list import Trial, Trials, list_trials
from flywheel.core.resource.api import DATASET, EXPERIMENT, Manifest
from flywheel.core.resource.conditions import find_condition

if TYPE_CHECKING:
    import pandas as pd

    from flywheel.client.session import Session

LOG_TAIL_BYTES = 4096  # of a failed trial
QUIET_REASONS = ("Pending", "Searching", "Registering")  # what the lines of trials say better


@dataclass(frozen=True, repr=False)
class Training(LiveObject):
    """The Experiment of a function: `best`, `trials`, `table`, `curves()`, `log()`, `wait()`.

    `uid` tells its trials from those of deleted Experiments of the same name, which the reader has, too.
    """

    uid: str

    @property
    def best(self) -> Trial | None:
        """The best trial with its parameters, metrics, log and curves; None while there is none."""
        best = (self.manifest.get("status") or {}).get("best")
        return self.trial(best["trial"]) if best else None

    @property
    def trials(self) -> Trials:
        """All trials that have ended, newest first."""
        reader, namespace = self.session.reader, self.session.namespace
        records = list_trials(reader, namespace, experiment=self.name, order_by="attributes.start_time DESC")
        own = [record for record in records if str(record["id"]).startswith(f"{self.uid}.")]
        return Trials(own, reader, namespace, f"trials of {self}")

    @property
    def table(self) -> "pd.DataFrame":
        """The trials as a DataFrame with a column for each parameter and metric."""
        return self.trials.to_pandas()

    def trial(self, number: int) -> Trial:
        """Returns a trial that has ended, with its log and curves.

        Raises:
            FlywheelError: no trial of that number is recorded.
        """
        found = self.trials
        for index, record in enumerate(found.records):
            if record.get("trial") == number:
                return found.trial(index)
        message = f"no trial {number} of {self} is recorded; its status lists those that ended"
        raise FlywheelError(message, reason="NotFound", status=404)

    def log(self, trial: int) -> str:
        """Returns the log of a trial that has ended."""
        return self.trial(trial).log()

    def curves(self, trial: int, *metrics: str) -> "pd.DataFrame":
        """Returns the curves that a trial logged."""
        return self.trial(trial).curves(*metrics)

    def wait(self, timeout: float | None = None, *, show: Callable[[str], None] | None = None) -> "Training":
        """Waits until the search has ended and returns the training. `show` gets each line of its progress and of its trials' logs.

        Raises:
            FlywheelError: it found no model, or `timeout` seconds were over; the error has the condition.
        """
        write = show or _print_line
        stream = LogStream(self.session.cluster, self.session.namespace, self.uid, write)
        progress = _Progress(stream)
        ends = None if timeout is None else time.monotonic() + timeout
        try:
            self._follow(progress, ends)
        except KeyboardInterrupt:
            stream.write_line(f"{self} continues; the same cell, or wait(), follows it again.")
            raise
        except FlywheelError:
            progress.finish(self.log)
            raise
        finally:
            stream.stop()
        return self

    def _follow(self, progress: "_Progress", ends: float | None) -> None:
        while True:
            progress.show(self.manifest)
            if self.has_ended():
                progress.finish(self.log)
                return
            if ends is not None and time.monotonic() >= ends:
                raise self.timeout_error()
            time.sleep(POLL_SECONDS)


class _Progress:
    """What is shown of a search while it runs."""

    def __init__(self, stream: LogStream) -> None:
        self._stream = stream
        self._shown: set[int] = set()
        self._said = ""
        self._status: Mapping[str, Any] = {}

    def show(self, manifest: Manifest) -> None:
        """Shows what has changed, and the lines that trials wrote."""
        self._stream.follow_new_pods()
        self._status = manifest.get("status") or {}
        ready = find_condition(manifest)
        line = f"{ready.get('reason')}: {ready.get('message')}"
        if ready and ready.get("reason") not in QUIET_REASONS and line != self._said:
            self._said = line
            self._stream.write_line(line)
        for trial in self._new_trials():
            self._stream.write_line(describe_trial(trial, self._status.get("metric", "objective")))

    def finish(self, read_log: Callable[[int], str]) -> None:
        """Shows the rest of the logs, and the end of the last failed trial's log if nothing succeeded."""
        self._stream.finish()
        failed = [each for each in self._status.get("lastTrials") or () if each.get("state") == "Failed"]
        if self._status.get("best") or not failed:
            return
        try:
            tail = read_log(int(failed[0]["trial"])).encode()[-LOG_TAIL_BYTES:]
        except FlywheelError:
            return  # the condition has the last line of the log
        for line in tail.splitlines():
            self._stream.write_line(f"trial {failed[0]['trial']} | {clean_line(line)}")

    def _new_trials(self) -> list[Mapping[str, Any]]:
        last = self._status.get("lastTrials") or []
        found = [each for each in reversed(last) if each["trial"] not in self._shown]
        self._shown |= {each["trial"] for each in found}
        return found


def describe_trial(trial: Mapping[str, Any], metric: str) -> str:
    """Returns a trial of the status as one line."""
    given = ", ".join(f"{name}={value}" for name, value in (trial.get("parameters") or {}).items())
    value = f" {metric}={trial['value']}" if trial.get("value") is not None else ""
    said = f": {trial['message']}" if trial.get("message") else ""
    return clean_line(
        f"trial {trial['trial']} {trial.get('state')}{value}{f' ({given})' if given else ''}{said}".encode()
    )


def train_function(
    session: "Session",
    function: Callable[..., Any],
    options: TrainingOptions,
    *,
    wait: bool = True,
    timeout: float | None = None,
) -> Training:
    """Returns the training of a function in a namespace; `flywheel.train` documents it."""
    manifest = experiment_manifest(function, options)
    session.require(DATASET, manifest["spec"]["dataset"])
    _check_reader(session, manifest["metadata"]["name"])
    named = {**manifest, "metadata": {**manifest["metadata"], "namespace": session.namespace}}
    applied = session.apply(EXPERIMENT, named, force=False)
    training = Training(session, EXPERIMENT, applied["metadata"]["name"], applied["metadata"]["uid"])
    if not wait:
        return training
    _print_line(f"Experiment '{training.name}' in namespace '{session.namespace}'")
    return training.wait(timeout)


def _check_reader(session: "Session", name: str) -> None:
    """Prints a line if the reader refuses the trials of an Experiment, which one would otherwise see after minutes, when they are read."""
    try:
        next(iter(list_trials(session.reader, session.namespace, experiment=name, limit=1)), None)
    except FlywheelError as error:
        _print_line(
            f"The search starts, and its logs are shown, but trials and table cannot be read: {clean_line(error.message.encode())}"
        )


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

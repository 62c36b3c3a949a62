"""The command `collect`: it becomes unreadable to its neighbours, watches main to its end, uploads what main left, and reports once.

If the store does not take what main left, collect is started again until it does (patience.py).
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flywheel_runtime.commands.collect.main_observer import MainObserver, Stop, occupy_probe_port
from flywheel_runtime.commands.collect.outputs import read_facts, read_metrics, read_output
from flywheel_runtime.commands.collect.patience import MESSAGE_MARGIN_SECONDS, Patience, waiting_report
from flywheel_runtime.commands.collect.results import Files, ResultStore, add_audit_record
from flywheel_runtime.commands.collect.tracker import Tracker
from flywheel_runtime.contract import termination_message
from flywheel_runtime.contract.config.collect import CollectConfig
from flywheel_runtime.contract.errors import Failure, OutputsWait
from flywheel_runtime.contract.paths import Attempt, Paths
from flywheel_runtime.contract.start_signal import signal_main, write_params
from flywheel_runtime.store import installation
from flywheel_runtime.store.retry import Retry

if TYPE_CHECKING:
    from flywheel_runtime.commands.collect.checkpoints import Checkpoints
    from flywheel_runtime.commands.collect.prune.pruner import Pruner

PR_SET_DUMPABLE = 4  # prctl(2)
START_TIMEOUT_SECONDS = 15.0  # seconds for the store's first answer
EXIT_DELAY_SECONDS = 0.06  # for watch to see the report and end first: else the kubelet would start us once more


def main(env: Mapping[str, str] = os.environ) -> int:
    """Stay until main has ended, report, and end with 0 whatever happened to main: the message is the outcome."""
    paths, stop = Paths.from_env(env), Stop()
    stop.listen(lambda: _end_in_time(paths, _grace(env)))
    make_undumpable()
    occupy_probe_port()
    termination_message.write(paths.termination_log, termination_message.RUNNING)
    try:
        report = _reported(paths) or collect(env, paths, stop)
    except OutputsWait as wait:
        _write_report(paths, wait.report)
        os._exit(1)
    except Failure as failure:
        report = final_message(error=failure)
    except Exception as error:  # noqa: BLE001 the last resort: an unforeseen error is reported, and may be retried
        report = final_message(
            error=Failure("InternalError", f"collect failed: {type(error).__name__}: {error}", retry=True)
        )
    _write_report(paths, report)
    if paths.collecting.exists():  # else main does not start: the kubelet's next collect tries again
        with suppress(OSError):  # a full disk; the message is out
            paths.reported.write_bytes(termination_message.encode(report))
        while stop.at is None:  # while main has not ended, the kubelet would start us again
            select.select([stop], [], [])
        time.sleep(EXIT_DELAY_SECONDS)
    os._exit(0)  # an upload that hangs must not hold us


def _write_report(paths: Paths, report: Mapping[str, Any]) -> None:
    termination_message.write(paths.termination_log, report)
    sys.stderr.write(termination_message.encode(report).decode() + "\n")
    sys.stderr.flush()


def _end_in_time(paths: Paths, grace: float) -> None:
    """The pod ends: shortly before the kubelet kills us, report that time is over, whatever upload is under way."""

    def end(_number: int, _frame: object) -> None:
        words = "uploading took longer than the time that a pod has to end; see that the store is well"
        _write_report(paths, final_message(error=Failure("UploadFailed", words, retry=True)))
        os._exit(0)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, grace - min(MESSAGE_MARGIN_SECONDS, grace / 4) / 2)


def _grace(env: Mapping[str, str]) -> float:
    return float(env.get("FLYWHEEL_GRACE_SECONDS") or 120)


def _reported(paths: Paths) -> dict[str, Any] | None:
    """What an earlier collect of this pod said, had it ended before the kubelet saw that main had."""
    try:
        found = json.loads(paths.reported.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def make_undumpable() -> None:
    """Close our memory, environment and root to other processes of our user. Main has another one."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed, so main could read the store's credentials")


def collect(env: Mapping[str, str], paths: Paths, stop: Stop) -> dict[str, Any]:
    """The final message. Whatever stands in main's way is found before main starts, and left as a file for fetch;
    in a pod without fetch, main is let in here, or not."""
    if paths.main_ended.exists():
        return resume(env, paths, stop)
    alone = "FLYWHEEL_PARAMS" in env
    paths.collecting.parent.mkdir(parents=True, exist_ok=True)
    paths.watch.mkdir(exist_ok=True)
    paths.watch.chmod(0o2770)  # watch is another user of our group
    try:
        config = CollectConfig.parse(env.get("FLYWHEEL_COLLECT") or "{}")
        results = _open_results(env)
        earlier = results.earlier(main_works=paths.fetched.exists())
    except Failure as failure:
        if failure.retry and paths.fetched.exists() and stop.terminated_at is None:
            raise OutputsWait(waiting_report(Attempt.from_env(env).step, "is at work", failure.message)) from failure
        if alone:
            return {**final_message(error=failure), "refused": True}
        refusal = {"reason": failure.reason, "message": failure.message, "retry": failure.retry}
        paths.refused.write_text(json.dumps(refusal), encoding="utf-8")
        paths.collecting.touch()
        raise
    if earlier:
        if not alone:
            paths.repeated.touch()
            paths.collecting.touch()
        return _complete_earlier({**earlier, "repeated": True}, Tracker(config, paths, env), results)
    if alone and not paths.fetched.exists():  # a collect that starts once more finds main at work
        write_params(env, paths)
        signal_main(paths)
    paths.collecting.touch()
    return observe_main(env, config, paths, stop, results)


def _open_results(env: Mapping[str, str]) -> ResultStore:
    store = installation.open_store(env, Retry(patience=START_TIMEOUT_SECONDS))
    return ResultStore(store, Attempt.from_env(env), installation.installation_owner(env))


def observe_main(
    env: Mapping[str, str], config: CollectConfig, paths: Paths, stop: Stop, results: ResultStore
) -> dict[str, Any]:
    """Observe main until its end, and keep what it left."""
    pruner, tracker = _pruner(config, paths, results), Tracker(config, paths, env)
    if pruner is not None:
        pruner.start()
    checkpoints = _checkpoints(config, paths, results)
    observer = MainObserver(config.timeout_seconds, paths, pruner)
    observer.run(stop)
    patience = Patience(stop, _grace(env), observer.ended_at + config.upload_patience_seconds)
    report = keep_outputs(tracker, observer, results, patience, pruner)
    tracker.record(report, results, _grace(env), observer)
    if checkpoints is not None and not report["complete"]:
        checkpoints.last(min(patience.deadline, time.monotonic() + _grace(env)))
    return report


def resume(env: Mapping[str, str], paths: Paths, stop: Stop) -> dict[str, Any]:
    """Go on where an earlier collect of this pod ended after main had. Raises OutputsWait."""
    config = CollectConfig.parse(env.get("FLYWHEEL_COLLECT") or "{}")
    observer = MainObserver(config.timeout_seconds, paths)
    observer.resume()
    stop.now()
    patience = Patience(stop, _grace(env), observer.ended_at + config.upload_patience_seconds)
    tracker = Tracker(config, paths, env)
    try:
        results = _open_results(env)
        earlier = results.earlier()
        if earlier:
            return _complete_earlier(earlier, tracker, results)
        report = keep_outputs(tracker, observer, results, patience, _pruner(config, paths, results))
    except Failure as failure:
        if failure.retry and patience.is_left:
            raise patience.wait(Attempt.from_env(env).step, failure.message) from failure
        return final_message(observer, error=failure)
    tracker.record(report, results, _grace(env), observer)
    return report


def _complete_earlier(earlier: dict[str, Any], tracker: Tracker, results: ResultStore) -> dict[str, Any]:
    """The result of an earlier collect of this attempt, with the records that it may not have come to write."""
    report = add_audit_record(earlier, tracker.config, results, time.monotonic() + START_TIMEOUT_SECONDS)
    tracker.record(report, results, START_TIMEOUT_SECONDS)
    return report


def keep_outputs(
    tracker: Tracker,
    observer: MainObserver,
    results: ResultStore,
    patience: Patience,
    pruner: "Pruner | None",
) -> dict[str, Any]:
    """The final message, once the store has taken what main left or cannot take it in time. Raises OutputsWait."""
    while True:
        terminated = patience.stop.terminated_at
        within = replace(results, patience=patience.attempt_seconds), patience.deadline
        report = _compared(tracker, observer, *within, pruner) if pruner else finish(tracker, observer, *within)
        failed_to_upload = observer.main_may_run and bool(report["error"] and report["error"]["retry"])
        if failed_to_upload and patience.is_left:
            raise patience.wait(results.attempt.step, report["error"]["message"])
        if not failed_to_upload or terminated == patience.stop.terminated_at:
            return report
        # The pod has begun to end during this attempt, and its grace period allows another one.


def _pruner(config: CollectConfig, paths: Paths, results: ResultStore) -> "Pruner | None":
    attempt = results.attempt
    if config.prune is None or config.follows(attempt.index):
        return None  # a group has one curve, its leader's
    # Imported only now, since most steps have no curve to compare, and main waits for what is imported before.
    from flywheel_runtime.commands.collect.prune.curve import Curve
    from flywheel_runtime.commands.collect.prune.pruner import Pruner
    from flywheel_runtime.commands.collect.prune.siblings import Siblings

    folder = f"curves/{attempt.uid}/{config.prune.group}/"
    curve = Curve(paths.curves, config.prune.metric)
    return Pruner(config.prune, curve, Siblings(results.store, folder, attempt.step), paths.metrics)


def _compared(
    tracker: Tracker, observer: MainObserver, results: ResultStore, deadline: float, pruner: "Pruner"
) -> dict[str, Any]:
    """`finish` of a trial that siblings are compared with, or of one that was pruned."""
    pruner.stop()
    if observer.pruned and pruner.verdict is not None:
        why = Failure("Pruned", pruner.verdict.message)
        message = final_message(observer, error=why, outputs=tracker.upload_alone(results, deadline))
        return {**message, "pruned": pruner.as_message}
    message = finish(tracker, observer, results, deadline)
    if message["complete"]:
        pruner.publish(deadline)
    return message


def _checkpoints(config: CollectConfig, paths: Paths, results: ResultStore) -> "Checkpoints | None":
    """The leader of a group uploads its checkpoints, in a thread, since an upload must not delay the observer."""
    if config.checkpoint is None or config.follows(results.attempt.index):
        return None
    from flywheel_runtime.commands.collect.checkpoints import Checkpoints  # as in _pruner

    checkpoints = Checkpoints(paths.checkpoints, results.store, results.attempt)
    checkpoints.start(config.checkpoint.every_seconds)
    return checkpoints


def finish(tracker: Tracker, observer: MainObserver, results: ResultStore, deadline: float) -> dict[str, Any]:
    """Look at what main left, upload it, commit it. `deadline` (time.monotonic) leaves time for the message."""
    config, paths = tracker.config, tracker.paths
    if not observer.main_may_run:
        words = "main never started because fetch did not finish; see fetch's message"
        return final_message(observer, error=Failure("MainNeverStarted", words, retry=True))
    if config.follows(results.attempt.index):
        # No result of its own: were this rank to run again within its attempt, it must take part again.
        return final_message(observer, complete=True)
    found: dict[str, Any] = {}
    try:
        found["metrics"] = read_metrics(paths.metrics)
        found["facts"] = read_facts(paths.facts)
        if observer.failure is not None:
            raise observer.failure
        outputs = _outputs(config, paths)
        if config.keep is not None and not config.keep.admits(found["metrics"]):
            outputs = {}  # they are whole, and others are better
    except Failure as failure:
        return final_message(observer, error=failure, **found, outputs=tracker.upload_alone(results, deadline))
    try:
        found["outputs"] = results.outputs(outputs, deadline)
        found["outputs"] |= results.outputs(tracker.files(), deadline)
        committed = results.commit(final_message(observer, complete=True, **found), deadline)
        return add_audit_record(committed, config, results, deadline)
    except Failure as failure:
        return final_message(observer, error=failure, **found)


def final_message(
    observer: MainObserver | None = None, *, error: Failure | None = None, **found: Any
) -> dict[str, Any]:
    """The final message, with what was observed of main."""
    if observer is None:
        return termination_message.finished_message(error=error, **found)
    return termination_message.finished_message(
        error=error, timed_out=observer.timed_out, usage=observer.usage, started_at=observer.started_at, **found
    )


def _outputs(config: CollectConfig, paths: Paths) -> dict[str, Files]:
    read = {o.name: read_output(o.name, paths.outputs / o.name, o.required) for o in config.outputs}
    return {name: files for name, files in read.items() if files}

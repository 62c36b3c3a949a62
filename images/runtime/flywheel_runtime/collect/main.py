"""collect: unreadable to its neighbours, then watching, then keeping, then one message that says how it ended."""

import ctypes
import json
import os
import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from flywheel_runtime import message
from flywheel_runtime.collect.checkpoints import Checkpoints
from flywheel_runtime.collect.keep import Files, Keeper, tracking
from flywheel_runtime.collect.order import Order
from flywheel_runtime.collect.outputs import read_facts, read_metrics, read_output
from flywheel_runtime.collect.prune.curve import Curve
from flywheel_runtime.collect.prune.pruner import Pruner
from flywheel_runtime.collect.prune.siblings import Siblings
from flywheel_runtime.collect.watch import Stop, Watch
from flywheel_runtime.failure import Failure
from flywheel_runtime.fetch.hand_over import let_main_in, write_params
from flywheel_runtime.places import Attempt, Places
from flywheel_runtime.store import own
from flywheel_runtime.store.retry import Retry

PR_SET_DUMPABLE = 4  # prctl(2)
START_PATIENCE = 15.0  # seconds for the store's first answer
MARGIN = 5.0  # seconds of the grace period that are left for the last message


def main(env: Mapping[str, str] = os.environ) -> int:
    """Stay until main has ended, report, and end with 0 whatever happened to main: the message is the outcome."""
    places, stop = Places.of(env), Stop()
    stop.listen()
    hide()
    message.write(places.termination_log, message.RUNNING)
    try:
        report = _reported(places) or collect(env, places, stop)
    except Failure as failure:
        report = ended(error=failure)
    except Exception as error:  # noqa: BLE001 the last door: whatever nobody planned for is told, and tried again
        report = ended(error=Failure("InternalError", f"collect failed: {type(error).__name__}: {error}", retry=True))
    message.write(places.termination_log, report)
    sys.stderr.write(message.encode(report).decode() + "\n")
    sys.stderr.flush()
    if places.collecting.exists():  # else main does not start: the kubelet's next collect tries again
        with suppress(OSError):  # a full disk; the message is out
            places.reported.write_bytes(message.encode(report))
        while stop.at is None:  # while main has not ended, the kubelet would start us again
            select.select([stop], [], [])
    os._exit(0)  # an upload that hangs must not hold us


def _reported(places: Places) -> dict[str, Any] | None:
    """What an earlier collect of this pod said, had it ended before the kubelet saw that main had."""
    try:
        found = json.loads(places.reported.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def hide() -> None:
    """Close our memory, environment and root to processes of the same user, main's among them."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed, so main could read the store's credentials")


def collect(env: Mapping[str, str], places: Places, stop: Stop) -> dict[str, Any]:
    """The final message. Whatever stands in main's way is found before main starts, and left as a file for fetch;
    in a pod without fetch, main is let in here, or not."""
    alone = "FLYWHEEL_PARAMS" in env
    places.collecting.parent.mkdir(parents=True, exist_ok=True)
    try:
        order = Order.parse(env.get("FLYWHEEL_COLLECT") or "{}")
        store = own.open_store(env, Retry(patience=START_PATIENCE))
        keeper = Keeper(store, Attempt.of(env), own.owner(env))
        earlier = keeper.earlier()
    except Failure as failure:
        if alone:
            return {**ended(error=failure), "refused": True}
        refusal = {"reason": failure.reason, "message": failure.message, "retry": failure.retry}
        places.refused.write_text(json.dumps(refusal), encoding="utf-8")
        places.collecting.touch()
        raise
    if earlier:
        if not alone:
            places.repeated.touch()
            places.collecting.touch()
        return audited(earlier, order, keeper, time.monotonic() + START_PATIENCE)
    if alone and not places.fetched.exists():  # a collect that starts once more finds main at work
        write_params(env, places)
        let_main_in(env, places, "collect")
    places.collecting.touch()
    return watched(env, order, places, stop, keeper)


def watched(env: Mapping[str, str], order: Order, places: Places, stop: Stop, keeper: Keeper) -> dict[str, Any]:
    """Watch main to its end, and keep what it left."""
    pruner = _pruner(order, places, keeper)
    checkpoints = _checkpoints(order, places, keeper)
    watch = Watch(order.timeout, order.grace, places.fetched, pruner)
    watch.run(stop)
    grace = float(env.get("FLYWHEEL_GRACE_SECONDS") or 120)
    deadline = (stop.at or 0.0) + grace - min(MARGIN, grace / 4)
    if pruner is None:
        report = finish(order, places, watch, keeper, deadline)
    else:
        report = _compared(order, places, watch, keeper, deadline, pruner)
    if checkpoints is not None and not report["complete"]:
        checkpoints.last(deadline)
    return report


def _pruner(order: Order, places: Places, keeper: Keeper) -> Pruner | None:
    attempt = keeper.attempt
    if order.prune is None or order.follows(attempt.index):
        return None  # a group has one curve, its leader's
    folder = f"curves/{attempt.uid}/{order.prune.group}/"
    curve = Curve(places.curves, order.prune.metric)
    pruner = Pruner(order.prune, curve, Siblings(keeper.store, folder, attempt.step), places.metrics)
    pruner.start()
    return pruner


def _compared(
    order: Order, places: Places, watch: Watch, keeper: Keeper, deadline: float, pruner: Pruner
) -> dict[str, Any]:
    """`finish` of a trial that siblings are compared with, or of one that was pruned."""
    pruner.stop()
    if watch.pruned and pruner.verdict is not None:
        why = Failure("Pruned", pruner.verdict.message, retry=False)
        told = ended(watch, error=why, outputs=_tracking_alone(places, keeper, deadline))
        return {**told, "pruned": pruner.told}
    told = finish(order, places, watch, keeper, deadline)
    if told["complete"]:
        pruner.publish(deadline)
    return told


def _checkpoints(order: Order, places: Places, keeper: Keeper) -> Checkpoints | None:
    """Those of a group are its leader's. They are kept beside the watch, which an upload must not hold up."""
    if order.checkpoint_every is None or order.follows(keeper.attempt.index):
        return None
    checkpoints = Checkpoints(places.checkpoints, keeper.store, keeper.attempt)
    checkpoints.start(order.checkpoint_every)
    return checkpoints


def finish(order: Order, places: Places, watch: Watch, keeper: Keeper, deadline: float) -> dict[str, Any]:
    """Look at what main left, upload it, commit it. `deadline` (time.monotonic) leaves time for the message."""
    if not watch.main_may_run:
        words = "main never started because fetch did not finish; see fetch's message"
        return ended(watch, error=Failure("MainNeverStarted", words, retry=True))
    if order.follows(keeper.attempt.index):
        # No result of its own: were this rank to run again within its attempt, it must take part again.
        return ended(watch, complete=True)
    found: dict[str, Any] = {}
    try:
        found["metrics"] = read_metrics(places.metrics)
        found["facts"] = read_facts(places.facts)
        outputs = _outputs(order, places)
        if order.keep is not None and not order.keep.takes(found["metrics"]):
            outputs = {}  # they are whole, and others are better
    except Failure as failure:
        return ended(watch, error=failure, **found, outputs=_tracking_alone(places, keeper, deadline))
    try:
        found["outputs"] = keeper.outputs({**outputs, **tracking(places)}, deadline)
        committed = keeper.commit(ended(watch, complete=True, **found), deadline)
        return audited(committed, order, keeper, deadline)
    except Failure as failure:
        return ended(watch, error=failure, **found)


def audited(result: dict[str, Any], order: Order, keeper: Keeper, deadline: float) -> dict[str, Any]:
    """The result, recorded where the order says so: one that is not recorded does not count."""
    return {**result, "audit": keeper.audit(order.audit, result, deadline)} if order.audit else result


def ended(watch: Watch | None = None, *, error: Failure | None = None, **found: Any) -> dict[str, Any]:
    """The final message of the contract, in its order of keys."""
    usage = watch.usage if watch else None
    started = watch.started_at if watch else None
    told = error and {"reason": error.reason, "message": message.clip(error.message), "retry": error.retry}
    return {
        "v": 1,
        "phase": "Finished",
        "complete": found.get("complete", False),
        "repeated": False,
        "timedOut": watch.timed_out if watch else False,
        "oomKills": int(usage.oom_kills or 0) if usage else 0,
        "outputs": found.get("outputs", {}),
        "metrics": found.get("metrics", {}),
        "facts": found.get("facts", {}),
        "error": told,
        "usage": usage.told() if usage else {"cpuSeconds": None, "memoryPeakBytes": None},
        "startedAt": started and _second(started),
        "finishedAt": _second(datetime.now(UTC)),
    }


def _outputs(order: Order, places: Places) -> dict[str, Files]:
    read = {o.name: read_output(o.name, places.outputs / o.name, o.required) for o in order.outputs}
    return {name: files for name, files in read.items() if files}


def _tracking_alone(places: Places, keeper: Keeper, deadline: float) -> dict[str, Any]:
    """The curves of a failure are worth keeping, and not worth another failure."""
    try:
        return keeper.outputs(tracking(places), deadline)
    except Failure as failure:
        sys.stderr.write(f"the curves were not kept: {failure.message}\n")
        return {}


def _second(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")

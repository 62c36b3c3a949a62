"""The figures, each measured on a running installation."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from e2e.bench.operator import resources
from e2e.bench.operator.api import Object, path
from e2e.bench.operator.installation import Installation, Operator
from e2e.bench.targets import Figures
from e2e.waiting import wait_until
from flywheel.core.resource.api import INFERENCE_SERVICE

RECONCILES, DEPTH = "controller_runtime_reconcile_total", 'workqueue_depth{name="flywheel"}'
WORKERS = "controller_runtime_active_workers"
OBJECTS = "flywheel_store_objects"
GATE = "caches are synced"
SETTLED = 3.0  # seconds after the last look, in which a late write would show
RESYNC_WHILE_IDLE = "60"  # seconds: ten times the usual number of looks, which must all find nothing to do


@contextmanager
def operator(installation: Installation, **more: str) -> Iterator[Operator]:
    """Until it has ended by SIGTERM, its Lease released."""
    process = Operator(installation, **more)
    try:
        yield process
        process.process.terminate()
        process.process.wait(30)
    finally:
        process.kill()


def settle(installation: Installation, process: Operator) -> None:
    """Until controllers, nodes and the operator have nothing left to do."""
    installation.nodes.rest()
    before = -1.0
    while (looks := _looks(process.metrics())) != before or process.metrics().get(DEPTH) != 0:
        before = looks
        time.sleep(SETTLED)


def restart(installation: Installation, expected: int) -> Figures:
    """From the start of the process to a look at every one of `expected` resources and an empty queue, with what that took."""
    started, lines = datetime.now(UTC), len(_log(installation))
    with operator(installation) as process:
        warm = wait_until(
            lambda: _warm(installation, lines, process), 600, "the operator's caches are not warm", max_pause=0.05
        )
        # Asking costs the operator time, so it is asked more seldom the more there is to do.
        samples = wait_until(
            lambda: _all_looked_at(process, expected),
            1200,
            lambda: (
                f"looked {_looks(process.metrics()):.0f} times of {expected}: {installation.folder / 'operator.log'}"
            ),
            max_pause=max(0.1, expected / 20_000),
        )
        seconds = time.monotonic() - process.began
        memory, cpu = process.memory(), process.cpu()
        time.sleep(SETTLED)
    written = installation.writes(started - timedelta(seconds=1))
    for each in written[:5]:
        print(f"  written: {each}")
    return {
        "resources": expected,
        "objects": sum(value for name, value in samples.items() if name.startswith(OBJECTS)),
        "caches_warm_seconds": round(warm, 2),
        "reconciled_seconds": round(seconds, 2),
        "looks": _looks(samples),
        "writes": len(written),
        "cpu_seconds": round(cpu, 2),
        "rss_peak_mib": round(memory["peak"], 1),
        "rss_mib": round(memory["now"], 1),
    }


def idle(installation: Installation, seconds: float) -> Figures:
    """Writes while nothing happens, resyncs included."""
    with operator(installation, FLYWHEEL_RESYNC_SECONDS=RESYNC_WHILE_IDLE) as process:
        wait_until(lambda: _looks(process.metrics()), 600, "the operator looks at nothing", max_pause=1)
        settle(installation, process)
        before, since, spent = _looks(process.metrics()), datetime.now(UTC), process.cpu()
        time.sleep(seconds)
        looks, memory, cpu = _looks(process.metrics()) - before, process.memory(), process.cpu() - spent
    written = installation.writes(since)
    for each in written[:5]:
        print(f"  written: {each}")
    return {
        "seconds": seconds,
        "looks": looks,
        "writes": len(written),
        "cpu_seconds": round(cpu, 2),
        "rss_mib": round(memory["now"], 1),
    }


class Watched:
    """When a Deployment was first seen with a number of replicas."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], float] = {}
        self._news = threading.Condition()

    def __call__(self, _event: str, deployment: Object) -> None:
        with self._news:
            self._seen.setdefault((deployment["metadata"]["name"], deployment["spec"]["replicas"]), time.monotonic())
            self._news.notify_all()

    def when(self, name: str, replicas: int, patience: float) -> float:
        """Waits for it.

        Raises:
            TimeoutError: it was not seen.
        """
        with self._news:
            if not self._news.wait_for(lambda: (name, replicas) in self._seen, patience):
                raise TimeoutError(f"Deployment '{name}' never got {replicas} replicas")
            return self._seen[name, replicas]


def latency(installation: Installation, watched: Watched, services: int, samples: int, per_second: float) -> Figures:
    """From a patch of spec.replicas, sent, to the Deployment that has them, seen. The services run and are Ready."""
    names = [f"service-{number}" for number in range(services)]
    asked: list[tuple[str, int, float]] = []
    began = time.monotonic()
    for number in range(samples):
        time.sleep(max(0.0, began + number / per_second - time.monotonic()))
        # Never the same number twice for one Deployment, and always another than before.
        name, replicas = names[number % services], 2 + number // services
        asked.append((name, replicas, time.monotonic()))
        where = path(INFERENCE_SERVICE, resources.NAMESPACE, name)
        installation.server.merge(where, {"spec": {"replicas": replicas}})
    took = sorted(watched.when(name, replicas, 30) - sent for name, replicas, sent in asked)
    return {
        "resources": services,
        "samples": samples,
        "per_second": per_second,
        "p50_seconds": round(_quantile(took, 0.50), 3),
        "p99_seconds": round(_quantile(took, 0.99), 3),
        "max_seconds": round(took[-1], 3),
    }


def _quantile(ordered: list[float], share: float) -> float:
    """The smallest sample that so large a share does not exceed."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _log(installation: Installation) -> list[str]:
    file = installation.folder / "operator.log"
    return file.read_text().splitlines() if file.exists() else []


def _warm(installation: Installation, lines: int, process: Operator) -> float | None:
    if process.process.poll() is not None:
        raise RuntimeError(f"the operator ended: {_log(installation)[-5:]}")
    return time.monotonic() - process.began if any(GATE in line for line in _log(installation)[lines:]) else None


def _all_looked_at(process: Operator, expected: int) -> dict[str, float] | None:
    samples = process.metrics()
    at_work = sum(value for name, value in samples.items() if name.startswith(WORKERS))
    done = _looks(samples) >= expected and samples.get(DEPTH) == 0 and at_work == 0
    return samples if done else None


def _looks(samples: dict[str, float]) -> float:
    return sum(value for name, value in samples.items() if name.startswith(RECONCILES))

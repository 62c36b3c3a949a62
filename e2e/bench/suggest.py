"""How long the next trial of a long search takes, and what others notice of it: `python -m e2e.bench.suggest`, without a cluster.

`suggest` is asked for trial 1,000 from 999 results of 8 parameters. Then four such questions are asked at once in worker threads, as the
engine's workers do, while an event loop wakes every 5 ms and a fifth thread decides over a small resource: how late the loop is at worst,
and how long that decision takes, is what other resources notice. The result is in `results/suggest.md`.
"""

import asyncio
import random
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from e2e.bench import targets
from e2e.bench.targets import Figures, Target
from flywheel.kinds.experiment.decide import decide
from flywheel.kinds.experiment.kind import KIND
from flywheel.kinds.experiment.observe import observe
from flywheel.kinds.experiment.search.sampler import importance, suggest
from flywheel.kinds.experiment.search.space import Branch, PastTrial, RealDimension, Space
from tests.simulation import FakeCluster, resource

TRIALS, PARAMETERS, ROUNDS, AT_ONCE = 1000, 8, 15, 4
TICK = 0.005  # seconds
SPACE: Space = (
    Branch("", {f"p{number}": RealDimension(Decimal("0.001"), Decimal(1), log=True) for number in range(PARAMETERS)}),
)


def main() -> int:
    """1 if a promise is not kept."""
    past = history()
    ask(past, 0)  # the first loads Optuna
    alone = [ask(past, number) for number in range(ROUNDS)]
    began = time.thread_time()
    importance(SPACE, past, maximize=True)
    found: dict[str, Figures] = {
        "suggest": {"p50_cpu_seconds": round(statistics.median(alone), 3), "worst_cpu_seconds": round(max(alone), 3)},
        "importance": {"cpu_seconds": round(time.thread_time() - began, 3)},
        "others": asyncio.run(others(past)),
    }
    checked = [
        Target("suggesting the 1,000th trial, median, CPU time", found["suggest"]["p50_cpu_seconds"], 0.3, "s"),
        Target(
            "an event loop beside four suggestions, at worst late by", found["others"]["loop_late_seconds"], 0.3, "s"
        ),
        Target("a decision over another resource meanwhile, at worst", found["others"]["decision_seconds"], 0.3, "s"),
    ]
    targets.write_results("suggest", "python -m e2e.bench.suggest", found, checked)
    print(targets.format_targets(checked))
    return 0 if all(each.is_met for each in checked) else 1


def history() -> list[PastTrial]:
    """All but the last trial, with the best near the middle."""
    chance, past = random.Random(0), list[PastTrial]()
    for _ in range(TRIALS - 1):
        point = (0, *(dimension.draw(chance) for _, dimension in SPACE[0].ordered))
        past.append(PastTrial(point, -abs(float(point[1]) - 0.1) + chance.gauss(0, 0.01)))
    return past


def ask(past: list[PastTrial], seed: int) -> float:
    """CPU seconds of one suggestion: what it takes on a machine that has nothing else to do."""
    began = time.thread_time()
    suggest(SPACE, past, trial=TRIALS, algorithm="TPE", seed=seed, maximize=True, budget=2 * TRIALS)
    return time.thread_time() - began


async def others(past: list[PastTrial]) -> Figures:
    """What is noticed of four suggestions at once."""
    loop = asyncio.get_running_loop()
    waiting = resource(KIND, "waits", {"dataset": "not-there", "trainer": {"sklearn": {}}})
    cluster = FakeCluster()
    late, decisions = 0.0, list[float]()
    quiet = [await lateness() for _ in range(200)]

    def small() -> None:
        began = time.perf_counter()
        decide(waiting, observe(waiting, cluster))
        decisions.append(time.perf_counter() - began)

    with ThreadPoolExecutor(AT_ONCE + 1) as workers:
        asked = [loop.run_in_executor(workers, ask, past, number) for number in range(AT_ONCE)]
        while not all(each.done() for each in asked):
            late = max(late, await lateness())
            await loop.run_in_executor(workers, small)
        seconds = [await each for each in asked]
    return {
        "loop_late_seconds": round(late, 3),
        "loop_late_without_suggestions_seconds": round(max(quiet), 3),
        "decision_seconds": round(max(decisions), 3),
        "decisions": len(decisions),
        "worst_suggestion_cpu_seconds": round(max(seconds), 3),
    }


async def lateness() -> float:
    """Seconds by which the event loop wakes too late."""
    wanted = time.perf_counter() + TICK
    await asyncio.sleep(TICK)
    return time.perf_counter() - wanted


if __name__ == "__main__":
    sys.exit(main())

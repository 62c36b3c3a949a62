"""Measures one step of a rollout (images/README.md, "judge")."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from flywheel_runtime.commands.canary_analysis import pod_metrics, verdict
from flywheel_runtime.commands.canary_analysis.pod_metrics import Side
from flywheel_runtime.commands.canary_analysis.request_counts import Counts
from flywheel_runtime.commands.canary_analysis.verdict import Question, Verdict
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.step import Step, log_line, run_step, write_json

INTERVAL = 1.0  # seconds between two looks
ASKED_AT_ONCE = 16


def main() -> int:
    """Judge in FLYWHEEL_ROOT; 0 with a verdict in facts.json, whatever it is."""
    return run_step(judge)


@dataclass
class Looks:
    """Both sides, and what their counters did since the first look."""

    champion: Side
    challenger: Side
    threads: ThreadPoolExecutor
    counts: tuple[Counts, Counts] = field(default_factory=lambda: (Counts(), Counts()))

    def look(self) -> None:
        """Ask every pod of both sides."""
        for side, counts in zip((self.champion, self.challenger), self.counts, strict=True):
            for address, page in pod_metrics.pages(side, self.threads).items():
                counts.add(address, page)


def judge(step: Step) -> None:
    """Wait until the champion's servers have taken up the route, measure, and write the verdict."""
    question, champion, challenger = parsed(step.params)
    with ThreadPoolExecutor(ASKED_AT_ONCE) as threads:
        if not _is_taken_up(champion, question, threads, float(step.params["takesUpSeconds"])):
            words = f"was not asked: after {step.params['takesUpSeconds']} s the champion's servers do not share their requests with it; see their metrics flywheel_route_percent and flywheel_route_invalid"
            found = Verdict("CannotMeasure", words)
        else:
            looks = Looks(champion, challenger, threads)
            found = measured(question, looks, float(step.params["seconds"]), float(step.params["atMostSeconds"]))
        if question.mode == "Shadow":
            folder = step.output("examples")
            write_json(folder / "worst.json", pod_metrics.examples(champion, str(step.params["model"]), threads))
    _finish(step, found)


def parsed(params: Mapping[str, Any]) -> tuple[Question, Side, Side]:
    """The question and both sides.

    Raises:
        Failure: a parameter is missing; the message names it.
    """
    try:
        champion, challenger = Side.of(params["champion"]), Side.of(params["challenger"])
        needed = ("maxDisagreement",) if params["mode"] == "Shadow" else ("maxErrorRate", "maxP99Ratio")
        limits = {name: float(params["limits"][name]) for name in (*needed, "minRequests")}
        question = Question(str(params["mode"]), float(params["percent"]), challenger.version, limits)
        _ = [float(params[name]) for name in ("seconds", "atMostSeconds", "takesUpSeconds")], str(params["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise Failure("ParamsInvalid", f"params.json of the judge cannot be read: {error!r}.") from error
    return question, champion, challenger


def measured(question: Question, looks: Looks, seconds: float, at_most: float) -> Verdict:
    """The verdict after that many seconds; sooner if a breach is certain, later (up to `at_most`) if there are too few requests."""
    begun = time.monotonic()
    looks.look()
    while (gone := time.monotonic() - begun) < max(seconds, at_most):
        time.sleep(min(INTERVAL, max(seconds, at_most) - gone))
        looks.look()
        progress = (time.monotonic() - begun) / seconds
        if progress < 1.0:
            found = verdict.breach(replace(question, progress=progress), *looks.counts)
        else:
            told = verdict.final(question, *looks.counts)
            found = told if told.verdict != "CannotMeasure" else None
        if found is not None:
            return found
    if looks.counts[0].pods == 0:
        return Verdict("CannotMeasure", "cannot be judged: no server of the champion gave its metrics")
    return verdict.final(question, *looks.counts)


def _is_taken_up(champion: Side, question: Question, threads: ThreadPoolExecutor, patience: float) -> bool:
    """Whether every server of the champion that answers shares as much as the step says."""
    end = time.monotonic() + patience
    while True:
        found = pod_metrics.pages(champion, threads).values()
        shares = [_share(page, question.challenger) for page in found]
        if shares and all(share == question.percent for share in shares):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(INTERVAL)


def _share(page: Mapping[Any, float], challenger: str) -> float | None:
    wanted = (
        value
        for series, value in page.items()
        if series.name == "flywheel_route_percent" and series.label("challenger") in ("", challenger)
    )
    return next(wanted, None)


def _finish(step: Step, found: Verdict) -> None:
    log_line(f"{found.verdict}: the challenger {found.message}")
    numbers = dict(found.numbers)
    step.finish(numbers, {"verdict": found.verdict, "message": found.message, "numbers": numbers})


if __name__ == "__main__":
    sys.exit(main())

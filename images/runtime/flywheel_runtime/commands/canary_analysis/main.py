"""Measures one step of a rollout (images/README.md, "judge")."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from flywheel_runtime.commands.canary_analysis import pod_metrics, verdict
from flywheel_runtime.commands.canary_analysis.config import CanaryAnalysisConfig, Side
from flywheel_runtime.commands.canary_analysis.request_counts import Counts
from flywheel_runtime.commands.canary_analysis.verdict import StepCriteria, Verdict
from flywheel_runtime.contract.step import Step, log_line, step_command, write_json

SAMPLE_INTERVAL_SECONDS = 1.0  # between two scrapes
MAX_PARALLEL_REQUESTS = 16


@dataclass
class Scraper:
    """Both sides, and what their counters did since the first look."""

    champion: Side
    challenger: Side
    threads: ThreadPoolExecutor
    counts: tuple[Counts, Counts] = field(default_factory=lambda: (Counts(), Counts()))

    def scrape(self) -> None:
        """Ask every pod of both sides."""
        for side, counts in zip((self.champion, self.challenger), self.counts, strict=True):
            for address, page in pod_metrics.pages(side, self.threads).items():
                counts.add(address, page)


@step_command
def main(step: Step) -> None:
    """Wait until the champion's servers have taken up the route, measure, and write the verdict; exits with 0, whatever it is."""
    config = CanaryAnalysisConfig.parse(step.params)
    limits = config.limits.model_dump(by_alias=True, exclude_none=True)
    criteria = StepCriteria(config.mode, config.percent, config.challenger.version, limits)
    with ThreadPoolExecutor(MAX_PARALLEL_REQUESTS) as threads:
        if not _is_taken_up(config.champion, criteria, threads, config.takes_up_seconds):
            words = f"was not asked: after {config.takes_up_seconds:g} s the champion's servers do not share their requests with it; see their metrics flywheel_route_percent and flywheel_route_invalid"
            found = Verdict("CannotMeasure", words)
        else:
            scraper = Scraper(config.champion, config.challenger, threads)
            found = measure(criteria, scraper, config.seconds, config.at_most_seconds)
        if config.mode == "Shadow":
            folder = step.output("examples")
            write_json(folder / "worst.json", pod_metrics.examples(config.champion, config.model, threads))
    _finish(step, found)


def measure(criteria: StepCriteria, scraper: Scraper, seconds: float, at_most: float) -> Verdict:
    """The verdict after that many seconds; sooner if a breach is certain, later (up to `at_most`) if there are too few requests."""
    begun = time.monotonic()
    scraper.scrape()
    while (gone := time.monotonic() - begun) < max(seconds, at_most):
        time.sleep(min(SAMPLE_INTERVAL_SECONDS, max(seconds, at_most) - gone))
        scraper.scrape()
        progress = (time.monotonic() - begun) / seconds
        if progress < 1.0:
            found = verdict.find_breach(replace(criteria, progress=progress), *scraper.counts)
        else:
            final = verdict.final_verdict(criteria, *scraper.counts)
            found = final if final.classification != "CannotMeasure" else None
        if found is not None:
            return found
    if scraper.counts[0].pods == 0:
        return Verdict("CannotMeasure", "cannot be judged: no server of the champion gave its metrics")
    return verdict.final_verdict(criteria, *scraper.counts)


def _is_taken_up(champion: Side, criteria: StepCriteria, threads: ThreadPoolExecutor, patience: float) -> bool:
    """Whether every server of the champion that answers shares as much as the step says."""
    end = time.monotonic() + patience
    while True:
        found = pod_metrics.pages(champion, threads).values()
        shares = [_share(page, criteria.challenger) for page in found]
        if shares and all(share == criteria.percent for share in shares):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(SAMPLE_INTERVAL_SECONDS)


def _share(page: Mapping[Any, float], challenger: str) -> float | None:
    wanted = (
        value
        for series, value in page.items()
        if series.name == "flywheel_route_percent" and series.label("challenger") in ("", challenger)
    )
    return next(wanted, None)


def _finish(step: Step, found: Verdict) -> None:
    log_line(f"{found.classification}: the challenger {found.message}")
    numbers = dict(found.numbers)
    step.finish(numbers, {"verdict": found.classification, "message": found.message, "numbers": numbers})

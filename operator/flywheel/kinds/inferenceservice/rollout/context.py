"""What the rules of a rollout know: each type has the facts that the guards before it have established.

RolloutContext      the spec has a rollout, and the active slot has a version, the champion
WantedRollout       moreover, a version is wanted and available
RolloutInProgress   moreover, that version is the challenger of the rollout in the status
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from flywheel.core.resource import names
from flywheel.core.resource.model_reference import ResolvedVersion
from flywheel.core.settings import Settings
from flywheel.kinds.inferenceservice.rollout.observe import RolloutSeen
from flywheel.kinds.inferenceservice.scaling.replicas import last_desired_replicas
from flywheel.kinds.inferenceservice.schema import InferenceService
from flywheel.kinds.inferenceservice.schema.rollout import IN_PROGRESS, CanaryStep, Rejection, Rollout, RolloutStatus
from flywheel.kinds.inferenceservice.servers import Servers

MAX_STEP_DURATION = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True)
class RolloutContext:
    """A service whose spec has a rollout, and whose active slot serves the champion with `servers`.

    `wanted`: the version that the spec asks for, None where it is not available; `seen`: what was observed of the rollout.
    """

    service: InferenceService
    spec: Rollout
    settings: Settings
    now: datetime
    champion: ResolvedVersion
    servers: Servers
    wanted: ResolvedVersion | None
    status: RolloutStatus | None
    seen: RolloutSeen

    @property
    def replicas(self) -> int:
        """How many servers the champion should have."""
        return last_desired_replicas(self.service)

    def is_under_way(self, target: ResolvedVersion) -> bool:
        """Whether the status is of a rollout of this target that is between its start and its end."""
        status, wanted = self.status, (target.version, target.digest)
        return status is not None and status.phase in IN_PROGRESS and (status.challenger, status.digest) == wanted

    def with_wanted(self, version: ResolvedVersion) -> "WantedRollout":
        """The same where that version is wanted."""
        return WantedRollout(**{**vars(self), "wanted": version})

    def is_ready_beside(self, target: ResolvedVersion, count: int) -> bool:
        """Whether the other slot has exactly so many servers of the target, all ready, and no earlier one that still terminates."""
        ready = self.seen.other.all_ready(self.service, target, self.settings, count)
        return ready and not self.seen.terminating

    def valid_rejections(self, version: str | None = None) -> tuple[Rejection, ...]:
        """The rejections in the status, without those of that version which have been cleared since."""
        rejected, cleared = self.status.rejected if self.status else (), self.seen.version.rejection_cleared
        return tuple(each for each in rejected if each.version != version or cleared is None or cleared.at < each.at)


@dataclass(frozen=True, kw_only=True)
class WantedRollout(RolloutContext):
    """A version is wanted and available."""

    wanted: ResolvedVersion

    @property
    def rejection(self) -> str | None:
        """What was found against the wanted version by a rollout of this or another service, unless it has been cleared since."""
        name, others = self.wanted.version, self.seen.version.rejection
        own = [each.message for each in self.valid_rejections(name) if each.version == name]
        return own[-1] if own else (others.message if others else None)

    def test_id(self, started: datetime) -> str | None:
        """The id of the A/B test of the wanted version that started then; None where the spec has none.

        A test whose spec changes is another test: what was seen by the old rule must not end the new one.
        """
        if self.spec.ab_test is None:
            return None
        facts = [self.wanted.digest, started.isoformat(), self.spec.ab_test.model_dump(mode="json", exclude_none=True)]
        return names.digest(facts)[:8]

    def with_status(self, status: RolloutStatus) -> "RolloutInProgress":
        """The rollout of the wanted version that has that status."""
        return RolloutInProgress(**{**vars(self), "status": status})


@dataclass(frozen=True, kw_only=True)
class RolloutInProgress(WantedRollout):
    """The wanted version is the challenger of a rollout between its start and its end."""

    status: RolloutStatus

    @property
    def step_number(self) -> int:
        """The number of the step that the status names, from 1; that of the last one if the spec has fewer by now."""
        return min(max(self.status.step or 1, 1), len(self.spec.steps))

    @property
    def step(self) -> CanaryStep:
        """The step with that number."""
        return self.spec.steps[self.step_number - 1]

    @property
    def judge_failed(self) -> bool:
        """Whether the last judge ended without a measurement; only then the status has the time of a retry."""
        return self.status.retry_at is not None

    @property
    def challenger_replicas(self) -> int:
        """The same share of the champion's servers as the step's share of its requests, and at least one."""
        return max(1, ceil(self.replicas * self.step.percent / 100))

    @property
    def max_duration(self) -> timedelta:
        """How long the step may be measured until there are enough requests; it doubles after each time when there were too few.

        After a judge that failed it is the step's own duration again.
        """
        duration, too_few = self.step.duration.timedelta, 0 if self.judge_failed else self.status.held or 0
        return max(duration, min(duration * (1 << min(too_few, 16)), MAX_STEP_DURATION))

    @property
    def progress(self) -> str:
        """Who challenges whom, and how far the rollout is, as the begin of a message."""
        share = self.step.percent
        if self.status.mode == "ABTest":
            looks = self.status.judgements or 0
            return f"Challenger '{self.status.challenger}' is tested on {share} % of the users of '{self.champion.version}' ({looks} looks)."
        effect = f"answers {share} %" if self.status.mode == "Canary" else f"gets copies of {share} %"
        steps = f"step {self.step_number} of {len(self.spec.steps)}"
        return f"Challenger '{self.status.challenger}' {effect} of the requests of '{self.champion.version}' ({steps})."

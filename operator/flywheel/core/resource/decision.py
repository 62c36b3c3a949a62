"""What a rule decides, and the frame that completes it to a Plan.

A kind's `decide` asks its rules in turn. The first that applies returns a Decision; the kind adds what all of its plans share.
"""

from dataclasses import dataclass
from datetime import timedelta

from flywheel.core.resource.api import Reference
from flywheel.core.resource.plan import Child, Event, ExistingChild, Patch, Plan, Removal
from flywheel.core.resource.schema import Status


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What one rule says of a resource. Every field means what the field of that name means in a Plan.

    `children` and `removals` are those of this rule alone, such as the Job that it starts. `summary` is for a rule that has its own.
    """

    ready: bool | None
    reason: str
    message: str
    summary: str = ""
    children: tuple[Child | ExistingChild, ...] = ()
    removals: tuple[Removal, ...] = ()
    events: tuple[Event, ...] = ()
    stalled: bool = False
    progressing: bool | None = None
    succeeded: bool | None = None
    requeue_after: timedelta | None = None

    def plan(
        self,
        status: Status,
        *,
        summary: str = "",
        children: tuple[Child | ExistingChild, ...] | None = (),
        patches: tuple[Patch, ...] = (),
        completed_ticks: tuple[Reference, ...] = (),
    ) -> Plan:
        """The Plan: this decision, and what the kind adds to it.

        `children` are added to the rule's own; None leaves every child of the resource alone.
        """
        return Plan(
            ready=self.ready,
            reason=self.reason,
            message=self.message,
            status=status,
            summary=summary or self.summary,
            children=None if children is None else (*self.children, *children),
            removals=self.removals,
            patches=patches,
            completed_ticks=completed_ticks,
            stalled=self.stalled,
            progressing=self.progressing,
            succeeded=self.succeeded,
            events=self.events,
            requeue_after=self.requeue_after,
        )

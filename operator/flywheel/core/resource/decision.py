"""What a rule decides, and the frame that completes it to a Plan.

A kind's `decide` asks its rules in turn. The first that applies returns a Decision; the kind adds what all of its plans share.
"""

from dataclasses import dataclass
from datetime import timedelta

from flywheel.core.resource.api import Reference
from flywheel.core.resource.plan import Child, Event, Kept, Plan, Removal, Touch
from flywheel.core.resource.schema import Status


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What one rule says of a resource. Every field means what the field of that name means in a Plan.

    `children` and `removals` are those of this rule alone, such as the Job that it starts.
    """

    ready: bool | None
    reason: str
    message: str
    children: tuple[Child | Kept, ...] = ()
    removals: tuple[Removal, ...] = ()
    events: tuple[Event, ...] = ()
    stalled: bool = False
    progressing: bool | None = None
    succeeded: bool | None = None
    look_again: timedelta | None = None

    def plan(
        self,
        status: Status,
        *,
        summary: str = "",
        children: tuple[Child | Kept, ...] | None = (),
        touches: tuple[Touch, ...] = (),
        finish: tuple[Reference, ...] = (),
    ) -> Plan:
        """The Plan: this decision, and what the kind adds to it.

        `children` are added to the rule's own; None leaves every child of the resource alone.
        """
        return Plan(
            ready=self.ready,
            reason=self.reason,
            message=self.message,
            status=status,
            summary=summary,
            children=None if children is None else (*self.children, *children),
            removals=self.removals,
            touches=touches,
            finish=finish,
            stalled=self.stalled,
            progressing=self.progressing,
            succeeded=self.succeeded,
            events=self.events,
            look_again=self.look_again,
        )

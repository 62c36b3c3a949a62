"""What collect is told: FLYWHEEL_COLLECT, parsed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flywheel_runtime.commands.collect.prune.config import PruneConfig as Prune
from flywheel_runtime.contract.errors import Failure

TRACKING = "tracking"  # the output that collect makes of metrics, curves, facts and parameters


@dataclass(frozen=True)
class Output:
    name: str
    required: bool


@dataclass(frozen=True)
class Retention:
    """Outputs are kept where `metric` reaches what others have, which are enough to keep."""

    metric: str
    maximize: bool
    reach: float

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Retention":
        return cls(str(body["metric"]), bool(body["maximize"]), float(body["reach"]))

    def takes(self, metrics: Mapping[str, float]) -> bool:
        """`reach` was rounded to ten digits, so what is as good as equal reaches it."""
        value = metrics.get(self.metric)
        if value is None:
            return True
        gap = value - self.reach if self.maximize else self.reach - value
        return gap >= -1e-9 * abs(self.reach)


@dataclass(frozen=True)
class CollectConfig:
    """`timeout` in seconds, None: main is never stopped; `grace`: seconds between SIGTERM and SIGKILL.
    `audit`: what to record of a result that counts (audit/records.py).
    `leader`: the index of a group's pod whose outputs and metrics count, so that others need none.
    `keep`: None, every result's outputs are kept.
    `checkpoint_every`: seconds between two looks for a new checkpoint, None: none is kept."""

    timeout: float | None
    grace: float
    outputs: tuple[Output, ...]
    audit: Mapping[str, Any] | None = None
    prune: Prune | None = None
    leader: int | None = None
    checkpoint_every: float | None = None
    keep: Retention | None = None

    @classmethod
    def parse(cls, text: str) -> "CollectConfig":
        try:
            body = json.loads(text)
            timeout = body.get("timeoutSeconds")
            outputs = tuple(Output(str(o["name"]), bool(o.get("required"))) for o in body.get("outputs") or ())
            every = (body.get("checkpoint") or {}).get("everySeconds")
            order = cls(
                None if timeout is None else float(timeout),
                float(body.get("graceSeconds", 10)),
                outputs,
                body.get("audit"),
                Prune.of(body["prune"]) if body.get("prune") else None,
                None if body.get("leader") is None else int(body["leader"]),
                None if every is None else float(every),
                Retention.of(body["keep"]) if body.get("keep") else None,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failure("InternalError", f"FLYWHEEL_COLLECT cannot be read: {error!r}") from error
        for output in outputs:
            if output.name in ("", ".", "..", TRACKING) or "/" in output.name:
                raise Failure("OutputInvalid", f"no output may be named '{output.name}'; rename it")
        return order

    def follows(self, index: int | None) -> bool:
        """Whether another pod of the group speaks for this one."""
        return self.leader is not None and index != self.leader

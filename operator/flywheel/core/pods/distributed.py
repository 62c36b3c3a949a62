"""What a user writes to train in several pods at once, and to go on where a lost training stood."""

from typing import Literal

from pydantic import Field

from flywheel.core.resource.schema import Schema, model_rules, rule
from flywheel.core.resource.values import Duration

MAX_NODES = 256

Framework = Literal["Torch", "XGBoost", "Plain"]


class Distributed(Schema):
    """One training in several pods that know each other. They start together and end together; their outputs and metrics are those of rank 0."""

    model_config = model_rules(
        rule(
            "self.framework == 'Torch' || !has(self.processesPerNode) || self.processesPerNode == 1",
            "processesPerNode requires framework Torch, whose torchrun starts the processes; remove it",
        )
    )

    framework: Framework = Field(
        description="Environment variables of the pods: Torch sets those of torchrun, XGBoost those of its tracker, and Plain only FLYWHEEL_NODES, FLYWHEEL_NODE_RANK and FLYWHEEL_MASTER_ADDR."
    )
    nodes: int = Field(ge=1, le=MAX_NODES, description="Number of pods; each is one rank.")
    processes_per_node: int = Field(
        1, ge=1, le=64, description="Number of processes that torchrun starts in each pod, such as one for each GPU."
    )


class Checkpoint(Schema):
    """What the container writes below /flywheel/checkpoints/ outlives its pod; the next attempt finds the newest in /flywheel/inputs/checkpoint/."""

    every: Duration = Field(Duration("5m"), description="Interval at which a new checkpoint is stored.")

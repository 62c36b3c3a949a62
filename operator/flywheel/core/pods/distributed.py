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
            "processesPerNode is for framework Torch, whose torchrun starts them; leave it out",
        )
    )

    framework: Framework = Field(
        description="Whose environment variables the pods find: Torch has torchrun's, XGBoost its tracker's, Plain FLYWHEEL_NODES, FLYWHEEL_NODE_RANK and FLYWHEEL_MASTER_ADDR alone."
    )
    nodes: int = Field(ge=1, le=MAX_NODES, description="How many pods; each is one rank.")
    processes_per_node: int = Field(
        1, ge=1, le=64, description="How many processes torchrun starts in each pod, such as one for each of its GPUs."
    )


class Checkpoint(Schema):
    """What the container writes below /flywheel/checkpoints/ outlives its pod; the next attempt finds the newest in /flywheel/inputs/checkpoint/."""

    every: Duration = Field(Duration("5m"), description="How often a new checkpoint is looked for and kept.")

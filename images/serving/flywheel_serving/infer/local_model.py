"""The model that this server has loaded, as features see it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from flywheel_serving.infer.batcher import BatchItem
from flywheel_serving.infer.config import Limits
from flywheel_serving.model.signature import Signature, TensorSpec


@dataclass
class LocalModel:
    """`submit` queues an item for the model."""

    name: str
    version: str
    signature: Signature
    submit: Callable[[BatchItem], None]
    limits: Limits
    rows_are_independent: bool = False  # each output row depends on its input row alone; known after the warm-up
    output_specs: dict[str, TensorSpec] = field(init=False)

    def __post_init__(self) -> None:
        self.publish(self.signature)

    def publish(self, signature: Signature) -> None:
        """Makes `signature` the one that clients see."""
        self.signature = signature
        self.output_specs = {spec.name: spec for spec in signature.outputs}

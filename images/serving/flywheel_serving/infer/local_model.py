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
    # Of other versions whose responses this server passes on, by version: their classes in the order of their scores.
    other_class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rows_are_independent: bool = False  # each output row depends on its input row alone; known after the warm-up
    output_specs: dict[str, TensorSpec] = field(init=False)

    def __post_init__(self) -> None:
        self.publish(self.signature)

    def class_names(self, version: str) -> tuple[str, ...]:
        """The classes of the version that responded; this model's, if that version did not send its own."""
        own = self.signature.class_names
        return own if version == self.version else self.other_class_names.get(version, own)

    def publish(self, signature: Signature) -> None:
        """Makes `signature` the one that clients see."""
        self.signature = signature
        self.output_specs = {spec.name: spec for spec in signature.outputs}

"""What `spec.quantize` did to the model, as verify measured it."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from flywheel.core.resource.schema import Schema


class Quantization(Schema):
    """What became of the model. Its gap and its former size are in `metrics` too, where a gate can refuse them."""

    weights: int = Field(description="How many weights are int8 now; 0 means that there was nothing to quantise.")
    rows: int = Field(description="How many rows the two models were compared on.")
    gap: str = Field(
        max_length=32,
        description="The greatest relative difference of any predicted number: |new - old| / (1 + |old|).",
    )
    size_before: int = Field(description="Bytes of the model before.")
    size: int = Field(description="Bytes of the model that is served.")


def parse_quantization(fact: Mapping[str, Any] | None) -> Quantization | None:
    """The quantization in the facts of a verify Job."""
    if not fact:
        return None
    numbers = {name: int(fact.get(name) or 0) for name in ("weights", "rows", "sizeBefore", "size")}
    return Quantization.model_validate({**numbers, "gap": f"{float(fact.get('gap') or 0):.6g}"})

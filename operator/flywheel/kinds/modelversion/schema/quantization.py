"""What `spec.quantize` did to the model, as verify measured it."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from flywheel.core.resource.schema import NumberText, Schema


class Quantization(Schema):
    """What became of the model. Its gap and its former size are in `metrics` too, where a gate can refuse them."""

    weights: int = Field(
        description="Number of weights that were converted to int8. 0 means that the model has nothing to quantize."
    )
    rows: int = Field(description="Number of rows on which the two models were compared.")
    gap: NumberText = Field(
        description="Maximum relative difference of the predictions: |new - old| / (1 + |old|).",
    )
    size_before: int = Field(description="Size of the model before quantization, in bytes.")
    size: int = Field(description="Size of the served model, in bytes.")


def parse_quantization(fact: Mapping[str, Any] | None) -> Quantization | None:
    """The quantization in the facts of a verify Job."""
    if not fact:
        return None
    numbers = {name: int(fact.get(name) or 0) for name in ("weights", "rows", "sizeBefore", "size")}
    return Quantization.model_validate({**numbers, "gap": f"{float(fact.get('gap') or 0):.6g}"})

"""Why SQL expressions cannot be compiled into a model."""

from collections.abc import Mapping

from flywheel_runtime.contract.errors import FlywheelError


class ExpressionRefused(FlywheelError):
    """One expression, or a node of it, has no equal in ONNX; the message has the finding and what to write instead."""


class FeaturesRefused(FlywheelError):
    """At least one of the features cannot be compiled. `reasons` maps the name of each to the reason."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.reasons = dict(reasons)
        super().__init__("; ".join(f"feature '{name}': {reason}" for name, reason in self.reasons.items()))

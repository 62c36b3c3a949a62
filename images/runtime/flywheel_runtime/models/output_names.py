"""The names of a trained model's outputs: those of their roles, unless a feature has that name."""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

LABEL, PROBABILITIES, PREDICTION = ROLES = ("label", "probabilities", "prediction")
# ONNX has one scope for inputs and outputs, and the input keeps the name that its users know.
TAKEN_PREFIX = "predicted_"
T = TypeVar("T")


def name_outputs(features: Collection[str]) -> dict[str, str]:
    """The name of the output of each role, for a model with these features."""
    found = {}
    for role in ROLES:
        name = role
        while name in features:
            name = TAKEN_PREFIX + name
        found[role] = name
    return found


def find_role(name: str) -> str | None:
    """The role of the output with this name, or None."""
    while name.startswith(TAKEN_PREFIX):
        name = name.removeprefix(TAKEN_PREFIX)
    return name if name in ROLES else None


def find_output(names: Iterable[str], role: str) -> str | None:
    """The name among the outputs' names that has this role, or None."""
    return next((name for name in names if find_role(name) == role), None)


def get_output(outputs: Mapping[str, T], role: str) -> T:
    """The output of a model of ours that has this role. Raises KeyError where there is none."""
    return outputs[find_output(outputs, role) or role]

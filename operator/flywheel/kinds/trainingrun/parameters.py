"""A run's parameters with their types, and what placeholders such as `$(params.months)` stand for."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from flywheel.core.pods.indexed_job import ItemSet
from flywheel.core.resource.values import Number
from flywheel.kinds.trainingpipeline.schema.inputs import Given, Parameter, ParameterType
from flywheel.kinds.trainingpipeline.schema.steps import ForEach

Value = bool | int | float | str
PLACEHOLDER = re.compile(r"\$\((params\.([A-Za-z0-9_]+)|run\.date)\)")


class InvalidInput(ValueError):
    """A run cannot use its parameters or a step its inputs; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Values:
    """The values of `$(params.x)` and `$(run.date)`. Its methods raise InvalidInput for a parameter that does not exist."""

    parameters: Mapping[str, Value]
    date: date

    def fill(self, text: str) -> str:
        """The text with values in place of placeholders."""
        return PLACEHOLDER.sub(lambda match: to_text(self._value_of(match[1])), text)

    def resolve(self, given: Given) -> Value:
        """The value of a container's parameter: `$(params.x)` alone keeps its type, in a longer text it becomes text."""
        if not isinstance(given, str):
            return given
        match = PLACEHOLDER.fullmatch(given)
        return self._value_of(match[1]) if match else self.fill(given)

    def used_in(self, text: str) -> tuple[dict[str, Value], bool]:
        """The parameters that a text uses, and whether it uses the run's date."""
        names = {match[1] for match in PLACEHOLDER.finditer(text)}
        parameters = {name.removeprefix("params."): self._value_of(name) for name in sorted(names - {"run.date"})}
        return parameters, "run.date" in names

    def _value_of(self, name: str) -> Value:
        if name == "run.date":
            return self.date.isoformat()
        name = name.removeprefix("params.")
        if name not in self.parameters:
            raise InvalidInput(f"$(params.{name}) names no parameter of the pipeline; {_known(self.parameters)}.")
        return self.parameters[name]


def item_set(wanted: ForEach, values: Values) -> ItemSet:
    """The items of a step with forEach.

    Raises:
        InvalidInput: an item uses an unknown parameter, or all items together are too long.
    """
    items = tuple({name: values.resolve(given) for name, given in item.items()} for item in wanted.items)
    try:
        return ItemSet(items, wanted.parallelism)
    except ValueError as error:
        raise InvalidInput(f"forEach is too long: {error}; divide the step.") from error


def resolve_parameters(declared: tuple[Parameter, ...], given: Mapping[str, Given]) -> dict[str, Value]:
    """Every declared parameter with its typed value.

    Raises:
        InvalidInput: a parameter is unknown, missing, or of another type.
    """
    known = {str(parameter.name): parameter for parameter in declared}
    for name in given:
        if name not in known:
            raise InvalidInput(f"spec.parameters.{name}: the pipeline has no such parameter; {_known(known)}.")
    return {name: _parse(parameter, given.get(name, parameter.default)) for name, parameter in known.items()}


def to_status(values: Mapping[str, Value]) -> dict[str, str]:
    """The parameters as the status stores them, each as JSON."""
    return {name: json.dumps(value) for name, value in values.items()}


def from_status(stored: Mapping[str, str]) -> dict[str, Value]:
    """The parameters that `to_status` wrote."""
    return {name: json.loads(text) for name, text in stored.items()}


def _parse(parameter: Parameter, given: Given | None) -> Value:
    kind, where = parameter.type, f"spec.parameters.{parameter.name}"
    if given is None:
        raise InvalidInput(f"{where} is missing and has no default; give it a value ({kind}).")
    if kind == "String":
        return to_text(given)
    if kind == "Boolean" and given in ("true", "false"):
        return given == "true"
    text = str(given)
    if kind == "Integer" and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if kind == "Float" and re.fullmatch(Number.pattern.strip("^$"), text):
        return float(text)
    raise InvalidInput(f"{where}: {given!r} is no {kind}; give a value of that type.")


def to_text(value: Value) -> str:
    """The value as a placeholder in a text becomes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def type_of(value: Value) -> ParameterType:
    """The type of a parameter with this value."""
    if isinstance(value, bool):
        return "Boolean"
    return "Integer" if isinstance(value, int) else "Float" if isinstance(value, float) else "String"


def _known(names: Mapping[str, object]) -> str:
    return f"it has {', '.join(sorted(names))}" if names else "it has none"

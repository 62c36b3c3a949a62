"""What a run was told to do, frozen when it started: a revision's template, parameters with their types, and what steps take from one another."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from flywheel.core.pods.indexed_job import ItemSet
from flywheel.core.resource.values import Number
from flywheel.kinds.trainingpipeline.schema.parameters import Given, Parameter
from flywheel.kinds.trainingpipeline.schema.steps import ForEach

Value = bool | int | float | str
PLACEHOLDER = re.compile(r"\$\((params\.([A-Za-z0-9_]+)|run\.date)\)")


class Refused(ValueError):
    """Parameters do not fit the pipeline. The text says which, why, and what would."""


@dataclass(frozen=True)
class Values:
    """What `$(params.x)` and `$(run.date)` stand for."""

    parameters: Mapping[str, Value]
    date: date

    def filled(self, text: str) -> str:
        """The text with values in it, as a container's argument or a message has them. Raises Refused."""
        return PLACEHOLDER.sub(lambda found: _written(self.named(found[1])), text)

    def value(self, given: Given) -> Value:
        """A parameter of a container: `$(params.x)` alone keeps its type; in a longer text it is written. Raises Refused."""
        if not isinstance(given, str):
            return given
        whole = PLACEHOLDER.fullmatch(given)
        return self.named(whole[1]) if whole else self.filled(given)

    def named(self, name: str) -> Value:
        """`params.months` or `run.date`. Raises Refused."""
        if name == "run.date":
            return self.date.isoformat()
        name = name.removeprefix("params.")
        if name not in self.parameters:
            raise Refused(f"$(params.{name}) names no parameter of the pipeline; {_known(self.parameters)}.")
        return self.parameters[name]

    def used(self, text: str) -> tuple[dict[str, Value], bool]:
        """The parameters that a text names, and whether it names the run's date. Raises Refused."""
        names = {found[1] for found in PLACEHOLDER.finditer(text)}
        told = {name.removeprefix("params."): self.named(name) for name in sorted(names) if name != "run.date"}
        return told, "run.date" in names


def each_of(wanted: ForEach, values: Values) -> ItemSet:
    """The items of a step with what stands for `$(params.x)`. Raises Refused."""
    items = tuple({name: values.value(given) for name, given in item.items()} for item in wanted.items)
    try:
        return ItemSet(items, wanted.parallelism)
    except ValueError as error:
        raise Refused(f"forEach is too long: {error}; divide the step.") from error


def parameters(declared: tuple[Parameter, ...], given: Mapping[str, Given]) -> dict[str, Value]:
    """Every declared parameter with its value, typed. Raises Refused."""
    known = {str(parameter.name): parameter for parameter in declared}
    for name in given:
        if name not in known:
            raise Refused(f"spec.parameters.{name}: the pipeline has no such parameter; {_known(known)}.")
    found: dict[str, Value] = {}
    for name, parameter in known.items():
        if name in given:
            found[name] = _typed(parameter, given[name])
        elif parameter.default is not None:
            found[name] = _typed(parameter, parameter.default)
        else:
            raise Refused(f"spec.parameters.{name} is missing and has no default; give it a value ({parameter.type}).")
    return found


def told(values: Mapping[str, Value]) -> dict[str, str]:
    """As status keeps them."""
    return {name: json.dumps(value) for name, value in values.items()}


def recalled(kept: Mapping[str, str]) -> dict[str, Value]:
    """What `told` wrote."""
    return {name: json.loads(text) for name, text in kept.items()}


def _typed(parameter: Parameter, given: Given) -> Value:
    kind = parameter.type
    if kind == "String":
        return _written(given)
    if kind == "Boolean" and given in ("true", "false"):
        return given == "true"
    text = str(given)
    if kind == "Integer" and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if kind == "Float" and re.fullmatch(Number.pattern.strip("^$"), text):
        return float(text)
    raise Refused(f"spec.parameters.{parameter.name}: {given!r} is no {kind}; give a value of that type.")


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _known(names: Mapping[str, object]) -> str:
    return f"it has {', '.join(sorted(names))}" if names else "it has none"

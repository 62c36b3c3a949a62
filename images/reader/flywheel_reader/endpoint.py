"""The description of an endpoint, by which requests are checked and the OpenAPI document is written."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.datastructures import QueryParams
from starlette.responses import Response

from flywheel_reader.call import Call
from flywheel_reader.errors import BadRequest

MAX_TEXT_CHARACTERS = 4096
MAX_REPEATED = 2000


@dataclass(frozen=True)
class Parameter:
    """A query parameter. `choices` are its only values; a repeated one is a list."""

    name: str
    description: str
    kind: Literal["string", "integer"] = "string"
    default: int | str | None = None
    minimum: int = 0
    maximum: int = 2**31
    repeated: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """One GET. `right` says in the documentation what the caller needs; the handler checks it."""

    path: str
    handle: Callable[[Call], Awaitable[Response]]
    summary: str
    right: str
    parameters: tuple[Parameter, ...] = ()
    media_types: tuple[str, ...] = ("application/json",)


def parse_query(parameters: tuple[Parameter, ...], given: QueryParams) -> dict[str, Any]:
    """The values of all parameters. Raises BadRequest for an unknown one, or a value that it does not take."""
    known = {parameter.name: parameter for parameter in parameters}
    for name in given:
        if name not in known:
            names = ", ".join(known) or "none"
            raise BadRequest(f"there is no parameter {name[:60]!r} here; there are: {names}")
    return {name: _parse_values(parameter, given.getlist(name)) for name, parameter in known.items()}


def _parse_values(parameter: Parameter, values: list[str]) -> Any:
    if parameter.repeated:
        if len(values) > MAX_REPEATED:
            raise BadRequest(f"'{parameter.name}' is given {len(values):,} times, more than {MAX_REPEATED:,}")
        return [_parse_value(parameter, value) for value in values]
    if len(values) > 1:
        raise BadRequest(f"'{parameter.name}' is given {len(values)} times; give it once")
    return _parse_value(parameter, values[0]) if values else parameter.default


def _parse_value(parameter: Parameter, value: str) -> int | str:
    if parameter.choices and value not in parameter.choices:
        raise BadRequest(f"'{parameter.name}' is {value[:60]!r}, and is one of {', '.join(parameter.choices)}")
    if parameter.kind == "string":
        if len(value) > MAX_TEXT_CHARACTERS:
            raise BadRequest(f"'{parameter.name}' has {len(value):,} characters, more than {MAX_TEXT_CHARACTERS:,}")
        return value
    if not (value.isascii() and value.isdigit() and len(value) < 12):
        raise BadRequest(f"'{parameter.name}' is {value[:60]!r}, and must be a whole number")
    number = int(value)
    if not parameter.minimum <= number <= parameter.maximum:
        raise BadRequest(
            f"'{parameter.name}' is {number:,}, and must be from {parameter.minimum:,} to {parameter.maximum:,}"
        )
    return number


def describe_parameter(parameter: Parameter) -> Mapping[str, Any]:
    """The parameter as OpenAPI has it."""
    schema: dict[str, Any] = {"type": parameter.kind}
    if parameter.kind == "integer":
        schema |= {"minimum": parameter.minimum, "maximum": parameter.maximum}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    if parameter.repeated:
        schema = {"type": "array", "items": schema}
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}

"""The configuration of `fetch` and `collect`: frozen dataclasses and one strict loader.

The standard library reads it, since pydantic, which reads the parameters of other commands (params.py), alone takes 20 MiB and 0.1 s
(measured), and both commands start in every step pod. The operator writes the same documents
(operator/flywheel/core/pods/step_config/); tests/contracts/config/*.json hold both to it.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from flywheel_runtime.contract.errors import Failure

C = TypeVar("C")


def load_config(kind: type[C], variable: str, text: str) -> C:
    """The configuration in an environment variable; a Failure InternalError says what is wrong with it, since the operator wrote it."""
    try:
        config: C = _dataclass(kind, json.loads(text), "")
    except ValueError as error:
        raise Failure("InternalError", f"{variable} cannot be read: {error}") from error
    return config


def _dataclass(kind: Any, document: Any, path: str) -> Any:
    if not isinstance(document, dict):
        raise ValueError(f"{path.removesuffix('.') or 'the document'} is no object")  # noqa: TRY004  every error here is a ValueError
    types = get_type_hints(kind)
    known = {_camel(each.name): each for each in fields(kind)}
    if unknown := sorted(document.keys() - known.keys()):
        raise ValueError(f"{path}{unknown[0]} is not known")
    required = (key for key, each in known.items() if each.default is MISSING and each.default_factory is MISSING)
    if missing := [key for key in required if key not in document]:
        raise ValueError(f"{path}{missing[0]} is missing")
    return kind(
        **{known[key].name: _value(types[known[key].name], given, path + key) for key, given in document.items()}
    )


def _value(kind: Any, given: Any, path: str) -> Any:
    origin, options = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):  # of one type and None
        return None if given is None and NoneType in options else _value(options[0], given, path)
    if origin is tuple:
        if not isinstance(given, list):
            raise ValueError(f"{path} is no list")
        return tuple(_value(options[0], each, f"{path}[{number}]") for number, each in enumerate(given))
    if is_dataclass(kind):
        return _dataclass(kind, given, f"{path}.")
    if kind is float and type(given) is int:
        return float(given)
    if not isinstance(given, dict if origin is Mapping else kind) or (type(given) is bool and kind is not bool):
        raise ValueError(f"{path} is {given!r}")
    return given


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)

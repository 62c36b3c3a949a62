"""Types of command-line flags: each turns a flag's text into a value, or raises argparse.ArgumentTypeError."""

import argparse
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import orjson

Address = tuple[str, int]
MAX_SECONDS = 86_400
T = TypeVar("T")


def field_values(config: type, flags: argparse.Namespace) -> dict[str, Any]:
    """The values of the flags that are named like fields of the dataclass `config`."""
    return {field.name: getattr(flags, field.name) for field in fields(config) if hasattr(flags, field.name)}


def address(text: str) -> Address:
    """HOST:PORT; an empty host is every IPv4 interface."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT; write for example 0.0.0.0:8080")
    return host.strip("[]") or "0.0.0.0", int(port)


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def non_negative_seconds(text: str) -> float:
    """A number of seconds from 0 to a day."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and {MAX_SECONDS}")
    return value


def positive_seconds(text: str) -> float:
    """A number of seconds above 0, to a day."""
    value = non_negative_seconds(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 seconds are too few; give a number above 0")
    return value


def parsed_by(parse: Callable[[str], T]) -> Callable[[str], T]:
    """The type of a flag that `parse` reads, whose ValueError says what is wrong."""

    def flag_type(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return flag_type


def json_object(text: str) -> dict[str, Any]:
    """The JSON object `text`. Raises ValueError."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004  the text is wrong, not its type
    return document

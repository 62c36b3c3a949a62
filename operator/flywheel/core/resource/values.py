"""Strings of a known form in manifests. The schema parses them once, so that no other code validates them again."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class PatternString(str):
    """A string of a known form. Subclasses have the pattern, in the syntax that Rust, Go and Python share, and a description. kubectl prints
    the description for a string that does not match, where it would otherwise print the pattern."""

    pattern: ClassVar[str]
    description: ClassVar[str]
    max_length: ClassVar[int] = 253

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(pattern=cls.pattern, max_length=cls.max_length)
        return core_schema.no_info_after_validator_function(cls, text, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        rule = {"rule": f"self.matches(r'{cls.pattern}')", "message": f"must be {cls.description}"}
        without_pattern = {key: value for key, value in handler(core).items() if key != "pattern"}
        return {**without_pattern, "x-kubernetes-validations": [rule]}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the text as this type.

        Raises:
            ValueError: the text has another form.
        """
        if len(text) > cls.max_length or not re.fullmatch(cls.pattern, text):
            raise ValueError(f"'{text}' must be {cls.description}, of at most {cls.max_length} characters")
        return cls(text)


class Duration(PatternString):
    """`30s`, `10m`, `6h`, `3d`."""

    pattern = r"^[1-9][0-9]{0,5}(s|m|h|d)$"
    description = "an integer followed by s, m, h or d, such as 30s, 10m, 6h or 3d"
    max_length = 7

    @property
    def timedelta(self) -> timedelta:
        """The duration as a timedelta."""
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[self[-1]]
        return timedelta(**{unit: int(self[:-1])})

    @property
    def seconds(self) -> int:
        """The duration in whole seconds."""
        return int(self.timedelta.total_seconds())


class Latency(PatternString):
    """`500us`, `5ms`: shorter than the unit of a Duration."""

    pattern = r"^[1-9][0-9]{0,5}(us|ms)$"
    description = "an integer followed by us or ms, such as 500us or 5ms"
    max_length = 8

    @property
    def seconds(self) -> float:
        """The latency in seconds."""
        return int(self[:-2]) / {"us": 1_000_000, "ms": 1_000}[self[-2:]]


class Percent(PatternString):
    """`15%`, `0.5%`; below 100."""

    pattern = r"^([0-9]|[1-9][0-9])(\.[0-9]{1,2})?%$"
    description = "a percentage below 100 with at most two decimals, such as 15% or 0.5%"
    max_length = 6

    @property
    def fraction(self) -> float:
        """`15%` is 0.15."""
        return float(self[:-1]) / 100


class Number(PatternString):
    """A decimal number as a string, since specs hold no floats: `"0.70"`, `"-3"`, `"1e-4"`."""

    pattern = r"^-?[0-9]{1,18}(\.[0-9]{1,18})?([eE][-+]?[0-9]{1,2})?$"
    description = "a decimal number in quotes, such as '0.70', '-3' or '1e-4'"
    max_length = 40

    @property
    def value(self) -> float:
        """The number as a float."""
        return float(self)


class MetricName(PatternString):
    """`roc_auc`, `f1`, `p95_ms`: what a step writes as a key of `metrics.json`."""

    pattern = r"^[A-Za-z_][A-Za-z0-9_.@-]*$"
    description = "the name of a metric, of letters, digits and the characters _ . @ and -, not starting with a digit, such as roc_auc"
    max_length = 63


class Label(PatternString):
    """A DNS label of at most 52 characters: the name of a step, a check, a resource, so that children's names and label values fit."""

    pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
    description = "a name of a-z, 0-9 and '-', with a letter or digit at both ends"
    max_length = 52


class ObjectName(PatternString):
    """The name of a Kubernetes object in the same namespace (DNS subdomain)."""

    pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
    description = "the name of an object, of a-z, 0-9, '-' and '.', with a letter or digit at both ends"
    max_length = 253


class Sha256(PatternString):
    """64 hexadecimal digits."""

    pattern = r"^[0-9a-f]{64}$"
    description = "64 lowercase hexadecimal digits"
    max_length = 64


class Digest(PatternString):
    """`sha256:` and 64 hexadecimal digits: an artifact in the store."""

    pattern = r"^sha256:[0-9a-f]{64}$"
    description = "sha256: followed by 64 lowercase hexadecimal digits"
    max_length = 71

    @property
    def short(self) -> str:
        """The first 8 digits, for names."""
        return self[7:15]


_SUFFIXES: dict[str, Decimal] = (
    {"": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")}
    | {letter: Decimal(1000) ** (power + 1) for power, letter in enumerate("kMGTPE")}
    | {f"{letter}i": Decimal(1024) ** (power + 1) for power, letter in enumerate("KMGTPE")}
)


def parse_quantity(text: str | int) -> Decimal:
    """Returns the value of a Kubernetes quantity: `500m`, `1Gi`, `2`, `1e3` (apimachinery's resource.Quantity).

    Raises:
        ValueError: the text is no quantity.
    """
    match = re.fullmatch(
        r"([+-]?[0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?|[+-]?[0-9]+\.)([numkMGTPE]|[KMGTPE]i)?", str(text).strip()
    )
    if match is None:
        raise ValueError(f"'{text}' is not a quantity; write 500m, 2, 512Mi or 1Gi")
    return Decimal(match[1]) * _SUFFIXES[match[2] or ""]


def number_text(value: float) -> str:
    """A number as text that reads back as the same number; whole numbers without a point."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def format_time(time: datetime) -> str:
    """Returns a time as Kubernetes writes it: RFC 3339 in UTC, to the second."""
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

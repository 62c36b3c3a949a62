"""Manifests as YAML, read as kubectl and Helm read it, and written so that every reader finds the same.

They follow YAML 1.1 as go-yaml does: `y`, `n`, `on` and `off` are booleans, `1e5` and `0o17` are numbers, and `12:30` and `2026-11-29` are
texts. PyYAML decides each of these differently.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml

_BOOLEANS = {"y": True, "yes": True, "true": True, "on": True, "n": False, "no": False, "false": False, "off": False}
_BOOLEAN = re.compile(
    r"^(?:y|Y|n|N|(?:yes|no|true|false|on|off)|(?:Yes|No|True|False|On|Off)|(?:YES|NO|TRUE|FALSE|ON|OFF))$"
)
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_INTEGER = re.compile(r"^[-+]?(?:0[bB][01_]+|0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|[1-9][0-9_]*|0)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_MERGE = re.compile(r"^<<$")
_RESOLVERS = (
    ("bool", _BOOLEAN, "yYnNtTfFoO"),
    ("null", _NULL, ("~", "n", "N", "")),
    ("int", _INTEGER, "-+0123456789"),
    ("float", _FLOAT, "-+0123456789."),
    ("merge", _MERGE, "<"),
)
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1  # go-yaml reads others as floats
_WHOLE_AS_INTEGER = 1e21  # Go writes smaller whole floats as JSON without a point or an exponent


class _KubectlLoader(yaml.SafeLoader):
    """Resolves plain scalars as go-yaml does, and makes every key a text, as JSON needs it."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - of PyYAML

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep=deep)
        return {_key_text(key): value for key, value in found.items()}


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, which are hard to read, and quotes every text that one of the readers takes for something else."""

    yaml_implicit_resolvers = {key: list(rules) for key, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()}  # noqa: RUF012

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _first in _RESOLVERS:
    for _class in (_KubectlLoader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list(_first))


def _construct_boolean(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    return _BOOLEANS[str(node.value).lower()]


def _construct_number(_loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    text = str(node.value).replace("_", "").lower()
    if _INTEGER.match(text):
        digits = text.lstrip("+-")
        octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
        number = int(digits, 8) if octal else int(digits, 0)
        number = -number if text.startswith("-") else number
        return number if _MIN_INTEGER <= number <= _MAX_INTEGER else float(number)
    found = float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return int(found) if found.is_integer() and abs(found) < _WHOLE_AS_INTEGER else found


_KubectlLoader.add_constructor("tag:yaml.org,2002:bool", _construct_boolean)
_KubectlLoader.add_constructor("tag:yaml.org,2002:int", _construct_number)
_KubectlLoader.add_constructor("tag:yaml.org,2002:float", _construct_number)


def load_yaml_documents(text: str) -> Iterator[Any]:
    """Yields the documents of a text, as kubectl reads them.

    Raises:
        yaml.YAMLError: the text is not YAML.
    """
    yield from yaml.load_all(text, Loader=_KubectlLoader)


def dump_yaml(value: Any, *, ascii_only: bool = False) -> str:
    """Returns YAML in the order of the data, wrapped at 120 characters; with `ascii_only` every other character is an escape."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=not ascii_only)


def _key_text(key: Any) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    return key if isinstance(key, str) else "null" if key is None else str(key)

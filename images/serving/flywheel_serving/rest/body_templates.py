"""Templates of JSON bodies: a client sends the same JSON again and again with new numbers.

A template is everything of a body but the numbers in its inputs' `data`. It is learned only if other numbers in those
places are seen to change nothing but the data. So a body with the same pieces between its numbers parses to the same
request as by reading all of it, and only the numbers are read.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import orjson

from flywheel_serving.infer.requests import InputLayout
from flywheel_serving.model.datatypes import DTYPES, Array

MAX_TEMPLATES = 256  # bodies of further ones are parsed as a whole
MAX_TEMPLATE_BYTES = 65_536  # of a body
DATA_MARKERS = (b'"data":[', b'"data": [')  # as JSON encoders write it
PROBE_VALUE = 0.5
STRUCT_CODES = {"FP32": "f", "FP64": "d"}


@dataclass(slots=True, eq=False)
class BodyTemplate(InputLayout):
    """Inputs of one datatype and shape. `pack` turns the numbers of all inputs into bytes."""

    marker: bytes
    names: list[str]
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    pack: Callable[..., bytes]

    def inputs(self, block: Array) -> dict[str, Array]:
        """Views of `block` [input, *shape] by name."""
        return {self.names[0]: block[0]} if len(block) == 1 else dict(zip(self.names, block, strict=True))

    def read(self, numbers: bytes) -> "tuple[BodyTemplate, Array] | None":
        """The template and the block [input, *shape] of `numbers`, which has `],[` between inputs; None if they do not fit."""
        if b"t" in numbers or b"f" in numbers:  # true or false, which `pack` takes for 1 and 0
            return None
        try:
            if len(self.names) == 1:
                packed = self.pack(*orjson.loads(b"[%b]" % numbers))
            else:
                lists, length = orjson.loads(b"[[%b]]" % numbers), prod(self.shape)
                if [*map(len, lists)] != [length] * len(self.names):
                    return None
                packed = self.pack(*chain.from_iterable(lists))
        except (ValueError, TypeError, struct.error, OverflowError):
            return None
        return self, np.ndarray((len(self.names), *self.shape), self.dtype, packed)


class BodyTemplates:
    """The templates of all requests of one server, by the pieces between their numbers."""

    def __init__(self) -> None:
        self._templates: dict[tuple[bytes, ...], BodyTemplate] = {}
        self._markers: list[bytes] = []  # of the known templates

    def read(self, body: bytes) -> "tuple[BodyTemplate, Array] | None":
        """The template and the numbers of all inputs, [input, *shape]; None if `body` must be parsed as a whole."""
        if len(body) > MAX_TEMPLATE_BYTES:
            return None
        for marker in self._markers:
            first, *rest = body.split(marker)
            if len(rest) == 1:  # most bodies
                numbers, _, last = rest[0].partition(b"]")
                pieces: tuple[bytes, ...] = (first, last)
            else:
                parts = [part.partition(b"]") for part in rest]
                numbers, pieces = b"],[".join([part[0] for part in parts]), (first, *[part[2] for part in parts])
            template = self._templates.get(pieces)
            if template is not None and template.marker == marker:
                return template.read(numbers)
        return None

    def learn(self, body: bytes, document: dict[str, Any]) -> None:
        """Adds the template of `body`. `document` was parsed from it, is valid, and has "inputs" and nothing else."""
        items = document["inputs"]
        types = {(item["datatype"], tuple(item["shape"])) for item in items}
        if len(self._templates) >= MAX_TEMPLATES or len(body) > MAX_TEMPLATE_BYTES or len(types) > 1:
            return
        [(datatype, shape)] = types
        marker = next((each for each in DATA_MARKERS if body.count(each) == len(items)), None)
        if datatype not in STRUCT_CODES or marker is None:
            return
        first, *rest = body.split(marker)
        pieces = (first, *[part.partition(b"]")[2] for part in rest])
        probe = [PROBE_VALUE] * prod(shape)
        probe_json = orjson.dumps(probe)[1:]
        if _parses_to(first + b"".join([marker + probe_json + piece for piece in pieces[1:]]), items, probe):
            pack = struct.Struct(f"<{prod(shape) * len(items)}{STRUCT_CODES[datatype]}").pack
            names = [item["name"] for item in items]
            self._templates[pieces] = BodyTemplate(marker, names, shape, DTYPES[datatype], pack)
            self._markers = list({template.marker for template in self._templates.values()})


def _parses_to(body: bytes, items: list[dict[str, Any]], data: list[float]) -> bool:
    """Whether `body` has the inputs `items` with other data."""
    try:
        return bool(orjson.loads(body) == {"inputs": [{**item, "data": data} for item in items]})
    except orjson.JSONDecodeError:
        return False

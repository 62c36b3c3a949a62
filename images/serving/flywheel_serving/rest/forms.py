"""Bodies that were read before, but for their numbers: a client sends the same JSON around ever new data.

A form is all of a body but the numbers in its inputs' `data`. It is learned only if other numbers in those places are seen to change nothing
but the data; so a body that is cut into the same pieces is what reading all of it would make of it, and only the numbers are read.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import orjson

from flywheel_serving.datatypes import DTYPES, Array

MOST = 256  # forms; what comes later is read as a whole
LONGEST = 65_536  # bytes of a body whose form is worth keeping
CUTS = (b'"data":[', b'"data": [')  # as writers of JSON put it
PROBE = 0.5
CODES = {"FP32": "f", "FP64": "d"}


@dataclass(slots=True, eq=False)
class Form:
    """Inputs of one type and shape. `fits`: the model takes them as they are, in this order; found out by the dataplane."""

    cut: bytes
    names: list[str]
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    pack: Callable[..., bytes]
    fits: bool = False

    def inputs(self, block: Array) -> dict[str, Array]:
        """Views of `block` by name."""
        return {self.names[0]: block[0]} if len(block) == 1 else dict(zip(self.names, block, strict=True))

    def read(self, numbers: bytes) -> "tuple[Form, Array] | None":
        """`numbers` of each input, with `],[` between inputs; None if they are not of this form."""
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


class Forms:
    """Of all requests of one server: by the pieces between the numbers."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, ...], Form] = {}
        self._cuts: list[bytes] = []  # that known forms have

    def read(self, body: bytes) -> "tuple[Form, Array] | None":
        """The numbers of all inputs, [input, *shape]; None if `body` must be read as a whole, be it because something is wrong with it."""
        if len(body) > LONGEST:
            return None
        for cut in self._cuts:
            first, *rest = body.split(cut)
            if len(rest) == 1:  # as most come
                numbers, _, last = rest[0].partition(b"]")
                pieces: tuple[bytes, ...] = (first, last)
            else:
                parts = [part.partition(b"]") for part in rest]
                numbers, pieces = b"],[".join([part[0] for part in parts]), (first, *[part[2] for part in parts])
            form = self._known.get(pieces)
            if form is not None and form.cut == cut:
                return form.read(numbers)
        return None

    def learn(self, body: bytes, document: dict[str, Any]) -> None:
        """`document` is what was read from `body`, and was found good: "inputs" and nothing else."""
        items = document["inputs"]
        types = {(item["datatype"], tuple(item["shape"])) for item in items}
        if len(self._known) >= MOST or len(body) > LONGEST or len(types) > 1:
            return
        [(datatype, shape)] = types
        cut = next((each for each in CUTS if body.count(each) == len(items)), None)
        if datatype not in CODES or cut is None:
            return
        first, *rest = body.split(cut)
        pieces = (first, *[part.partition(b"]")[2] for part in rest])
        probe = [PROBE] * prod(shape)
        told = orjson.dumps(probe)[1:]
        if _same(first + b"".join([cut + told + piece for piece in pieces[1:]]), items, probe):
            pack = struct.Struct(f"<{prod(shape) * len(items)}{CODES[datatype]}").pack
            names = [item["name"] for item in items]
            self._known[pieces] = Form(cut, names, shape, DTYPES[datatype], pack)
            self._cuts = list({form.cut for form in self._known.values()})


def _same(body: bytes, items: list[dict[str, Any]], probe: list[float]) -> bool:
    """Whether `body` says the same as `items` with other data."""
    try:
        return bool(orjson.loads(body) == {"inputs": [{**item, "data": probe} for item in items]})
    except orjson.JSONDecodeError:
        return False

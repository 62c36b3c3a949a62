"""JSON of the store, which anybody's code may have written: bounded in what it takes once it is parsed."""

from typing import Any

import orjson

from flywheel_reader.errors import TooLarge
from flywheel_reader.workers import run_in_worker


def parse_json(content: bytes, max_values: int) -> Any:
    """The value. A value of a few bytes takes up to 250 once it is parsed. Raises TooLarge beyond `max_values`, ValueError."""
    values = sum(content.count(mark) for mark in (b"{", b"[", b","))
    if values > max_values:
        raise TooLarge(
            f"a JSON document in the store has more than {max_values:,} values, and the reader reads no larger one"
        )
    return orjson.loads(content)


async def parse_json_in_worker(content: bytes, max_values: int) -> Any:
    """The same in a thread."""
    return await run_in_worker(parse_json, content, max_values)

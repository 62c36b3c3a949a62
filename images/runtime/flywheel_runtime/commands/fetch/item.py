"""One file of an input, found before any of them is brought."""

from collections.abc import Callable
from dataclasses import dataclass

from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.contract.termination_message import format_bytes


@dataclass(frozen=True)
class Item:
    """`size` is None if it is not known before the end; `copied` is False for a file that stays where it is. `reads_inputs`: other inputs
    must be there before."""

    size: int | None
    download: Callable[[], None]
    copied: bool = True
    reads_inputs: bool = False


def too_large(size: int, limit: int, about: str = "") -> Failure:
    words = f"the inputs have {about}{format_bytes(size)} and the limit is {format_bytes(limit)}"
    return Failure("TooLarge", f"{words}; raise the limit or make the source smaller")

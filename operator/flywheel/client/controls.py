"""Texts of other people without the characters by which they could change a terminal."""

import re

# C0 and C1 controls, and what reorders, hides or breaks text: bidirectional controls, zero-width characters, separators, surrogates.
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_controls(text: str, allowed: str = "") -> str:
    r"""Returns the text with each control character but the allowed ones as its escape, such as `\x1b`."""
    return UNSAFE.sub(lambda found: found[0] if found[0] in allowed else _escape(found[0]), text)


def escape_lines(text: str) -> str:
    """Returns a text of several lines, such as a log or a message, with every control character but tabs and line ends escaped."""
    return escape_controls(text, "\n\t")


def _escape(character: str) -> str:
    number = ord(character)
    return _SHORT.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")

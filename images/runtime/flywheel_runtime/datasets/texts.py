"""Columns of text: what they hold, and the one rule by which check, training and the exported model divide a text into terms.

A token is a run of characters without a separator; of Chinese, Japanese and Thai, which are written without spaces, each character is
one. A term is a token or two that follow each other. Letters are compared in lower case.

The classes are listed by code point because `\\w` means other characters to RE2, which onnxruntime uses, than to Python: the words of
Russian and Japanese would vanish from the exported model.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

TextContent = Literal["Category", "FreeText", "Identifier"]
SEPARATORS = (
    r"\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xbf"  # ASCII and Latin-1 but letters and digits
    r"\x{2000}-\x{206f}\x{3000}-\x{303f}\x{fe30}-\x{fe4f}\x{ff00}-\x{ff0f}\x{ff1a}-\x{ff20}"  # general and wide punctuation
)
WITHOUT_SPACES = r"\x{0e00}-\x{0e7f}\x{3040}-\x{30ff}\x{3400}-\x{4dbf}\x{4e00}-\x{9fff}\x{f900}-\x{faff}"
TOKEN = f"[{WITHOUT_SPACES}]|[^{SEPARATORS}{WITHOUT_SPACES}]+"  # as RE2 writes it


def _as_python(pattern: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\x\{(\w{4})\}", r"\\u\1", pattern))


_TOKEN = _as_python(TOKEN)
_WORD = _as_python(f"[{WITHOUT_SPACES}]{{1,3}}|[^\\s{WITHOUT_SPACES}]+")

MIN_FREE_TEXT_WORDS = 3  # on average; a name or an address is fewer
MIN_FREE_TEXT_DISTINCT = 20
MIN_FREE_TEXT_SHARE = 0.3  # of distinct values among all: kinds of things return, sentences do not
MIN_IDENTIFIER_DISTINCT = 50
MIN_IDENTIFIER_SHARE = 0.95


def lower_text(text: str) -> str:
    """`text` in lower case, letter by letter as the C library does it: each stays one letter, also \u0130, which becomes i."""
    return text.lower() if text.isascii() else "".join(letter.lower()[0] for letter in text)


def split_terms(text: str) -> list[str]:
    """The terms of a text, with repetitions: its tokens, then each two neighbours with a space between them."""
    tokens = _TOKEN.findall(lower_text(text))
    return tokens + [f"{first} {second}" for first, second in itertools.pairwise(tokens)]


def text_content(sample: Sequence[str], distinct: int, rows: int) -> TextContent:
    """What a column holds, by a `sample` of its distinct values, how many of these there are, and in how many rows."""
    words = sum(len(_WORD.findall(text)) for text in sample) / max(len(sample), 1)
    share = distinct / max(rows, 1)
    if words >= MIN_FREE_TEXT_WORDS and distinct > MIN_FREE_TEXT_DISTINCT and share >= MIN_FREE_TEXT_SHARE:
        return "FreeText"
    if distinct > MIN_IDENTIFIER_DISTINCT and share >= MIN_IDENTIFIER_SHARE:
        return "Identifier"
    return "Category"


class TextPool:
    """Distinct texts and their numbers from 0 on, so that a matrix of numbers can hold a column of text.

    A copy of a pool is the pool itself: what is copied with an estimator finds texts that are added later.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def __deepcopy__(self, memo: Any) -> "TextPool":
        return self

    def add(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """The numbers (texts,) of these texts; new ones get the next numbers."""
        return np.array([self._number(text) for text in texts], dtype=np.float64)

    def texts_of(self, numbers: NDArray[Any]) -> list[str]:
        """The texts that have these numbers (rows,)."""
        return [self._texts[int(number)] for number in numbers]

    def _number(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self._texts))
        if number == len(self._texts):
            self._texts.append(text)
        return number

"""SQL's LIKE in time that is linear in the text, whatever the wildcards: no pattern of a caller can make a search slow."""

from collections.abc import Callable

MAX_COMPARED_CHARACTERS = 8192  # of a value; MLflow's tags have at most 8,000
Finder = Callable[[str, int, int], int]


def like_matcher(pattern: str, *, ignore_case: bool) -> Callable[[str], bool]:
    """A function that says whether the first 8,192 characters of a text match: % is any text, _ any character."""
    parts = (pattern.lower() if ignore_case else pattern).split("%")
    finders = [_finder(part) for part in parts[1:-1]]

    def matches(text: str) -> bool:
        text = text[:MAX_COMPARED_CHARACTERS]
        return _match_parts(parts, finders, text.lower() if ignore_case else text)

    return matches


def _match_parts(parts: list[str], finders: list[Finder], text: str) -> bool:
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return len(text) == len(first) and _fits(first, text, 0)
    if len(text) < len(first) + len(last) or not _fits(first, text, 0) or not _fits(last, text, len(text) - len(last)):
        return False
    position, end = len(first), len(text) - len(last)
    for part, find in zip(
        parts[1:-1], finders, strict=True
    ):  # the leftmost place of each leaves the most to the others
        place = find(text, position, end)
        if place < 0:
            return False
        position = place + len(part)
    return True


def _finder(part: str) -> Finder:
    """A function that returns the leftmost place of a part in a text from start to end, -1 where there is none."""
    if "_" not in part:
        return lambda text, start, end: text.find(part, start, end)
    any_character = sum(1 << place for place, wanted in enumerate(part) if wanted == "_")
    masks: dict[str, int] = {}
    for place, wanted in enumerate(part):
        if wanted != "_":
            masks[wanted] = masks.get(wanted, any_character) | 1 << place
    whole = 1 << len(part) - 1

    def find(text: str, start: int, end: int) -> int:
        begun = 0  # bit k: the last k + 1 characters are the first k + 1 of the part
        for position in range(start, end):
            begun = (begun << 1 | 1) & masks.get(text[position], any_character)
            if begun & whole:
                return position + 1 - len(part)
        return -1

    return find


def _fits(part: str, text: str, place: int) -> bool:
    if "_" not in part:
        return text.startswith(part, place)
    return all(wanted in ("_", found) for wanted, found in zip(part, text[place : place + len(part)], strict=True))

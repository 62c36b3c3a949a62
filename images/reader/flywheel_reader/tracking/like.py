"""SQL's LIKE in time that is linear in the number of wildcards: no pattern of a caller can make a search slow."""

from collections.abc import Callable


def like_matcher(pattern: str, *, ignore_case: bool) -> Callable[[str], bool]:
    """A function that says whether a text matches: % is any text, _ any character."""
    parts = (pattern.lower() if ignore_case else pattern).split("%")

    def matches(text: str) -> bool:
        return _match_parts(parts, text.lower() if ignore_case else text)

    return matches


def _match_parts(parts: list[str], text: str) -> bool:
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return len(text) == len(first) and _fits(first, text, 0)
    if len(text) < len(first) + len(last) or not _fits(first, text, 0) or not _fits(last, text, len(text) - len(last)):
        return False
    position, end = len(first), len(text) - len(last)
    for part in parts[1:-1]:  # the leftmost place of each leaves the most text to the others
        place = _find(part, text, position, end)
        if place < 0:
            return False
        position = place + len(part)
    return True


def _find(part: str, text: str, start: int, end: int) -> int:
    if "_" not in part:
        return text.find(part, start, end)
    return next((place for place in range(start, end - len(part) + 1) if _fits(part, text, place)), -1)


def _fits(part: str, text: str, place: int) -> bool:
    if "_" not in part:
        return text.startswith(part, place)
    return all(wanted in ("_", found) for wanted, found in zip(part, text[place : place + len(part)], strict=True))

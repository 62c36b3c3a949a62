"""How long to wait before something is tried again."""

from datetime import timedelta

FIRST, LONGEST = timedelta(seconds=10), timedelta(minutes=10)
MOST_DOUBLINGS = 16  # beyond any `longest`


def backoff(again: int, first: timedelta = FIRST, longest: timedelta = LONGEST) -> timedelta:
    """`first`, then twice as long each time, up to `longest`; `again` counts the tries after the first one that failed, from 0."""
    doubled: timedelta = first * 2 ** min(again, MOST_DOUBLINGS)
    return min(doubled, longest)

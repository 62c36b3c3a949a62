"""How many examples Hypothesis draws."""

import os


def examples(count: int) -> int:
    """Return `count` times EXAMPLES_FACTOR: 1 in CI, more in `make test-long`, less in `make mutants`."""
    return max(1, round(count * float(os.environ.get("EXAMPLES_FACTOR", "1"))))

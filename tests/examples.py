"""How many examples Hypothesis draws."""

import os


def examples(count: int, ci: int | None = None) -> int:
    """Return `count` times EXAMPLES_FACTOR, which is more in `make test-long` and less in `make mutants`.

    Without EXAMPLES_FACTOR, as in CI, return `ci` if it is given: fewer, where examples take long.
    """
    factor = os.environ.get("EXAMPLES_FACTOR")
    if factor is None:
        return count if ci is None else ci
    return max(1, round(count * float(factor)))

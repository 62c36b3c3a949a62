"""Explained rows as JSON."""

from collections.abc import Iterator
from typing import Any

from flywheel_serving.explanation.explained_rows import Explanation

DIGITS = 9


def describe_rows(explanation: Explanation) -> Iterator[dict[str, Any]]:
    """An object for each row: the method and the scale, and of each output the value, the base, and the contributions, the largest first."""
    for row, contributions in enumerate(explanation.contributions):
        outputs = {
            name: {
                "value": round(float(explanation.values[row, number]), DIGITS),
                "base": round(float(explanation.base[number]), DIGITS),
                "contributions": {
                    explanation.columns[column]: round(float(contributions[number, column]), DIGITS)
                    for column in sorted(
                        range(len(explanation.columns)), key=lambda each: -abs(contributions[number, each])
                    )
                },
            }
            for number, name in enumerate(explanation.outputs)
        }
        yield {"method": explanation.method, "scale": explanation.scale, "outputs": outputs}

"""Which rows to label: each is drawn by itself with a probability that is known (Poisson sampling).

A drawn row counts as 1/probability rows, which makes the estimate unbiased whatever the probabilities are (Horvitz and Thompson, JASA 47,
1952). The variance is least if they are proportional to the spread of the row's loss around the mean of all (Neyman's allocation); a share
of the draws is uniform, so that no row counts for more than 1/UNIFORM_SHARE times its uniform weight, however sure the model is.

Every row has one random number, a hash of its id: it is drawn if that is below its probability. So a draw can be repeated, and a larger
one contains the smaller one (permanent random numbers: Ohlsson, "Coordination of samples using permanent random numbers", 1995). The
probability that a row is in any of several draws is the largest of its probabilities.

Rows are counted in classes of equal expected loss and group, since their probabilities are equal: millions of rows are some hundred classes.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

UNIFORM_SHARE = 0.3  # of the labels that is drawn without regard to the model
MIN_PROBABILITY = 1e-6  # that a server takes with a label
MIN_GROUP_LABELS = 5.0  # expected of each group, if it has so many rows
BISECTIONS = 60
CONFIDENCE = 0.95
MIN_SPREAD = 1e-6  # so that a row of which the model is sure can be drawn
EPSILON = 1e-15  # of a probability in log_loss


@dataclass(frozen=True)
class RowClass:
    """Rows of one group whose loss is expected to be `loss`, and its square `squared_loss`."""

    loss: float
    squared_loss: float
    group: str = ""

    def spread(self, mean: float) -> float:
        """Returns the root of the expected squared difference between the loss and the mean of all rows."""
        return math.sqrt(max(self.squared_loss - 2 * mean * self.loss + mean**2, MIN_SPREAD**2))


Rows = Mapping[RowClass, float]
"""How many rows there are of each class."""


@dataclass(frozen=True)
class Allocation:
    """The probability of each class of rows to be drawn."""

    rows: Rows
    probabilities: Mapping[RowClass, float]

    @property
    def expected_labels(self) -> float:
        """How many rows are drawn in expectation."""
        return sum(self.rows[each] * chance for each, chance in self.probabilities.items())

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval of the mean loss that these labels give, as far as the expected losses are right.

        The variance is sum(spread² (1 - probability) / probability) / rows².
        """
        mean = mean_loss(self.rows)
        variance = sum(
            self.rows[each] * each.spread(mean) ** 2 * (1 - chance) / chance
            for each, chance in self.probabilities.items()
        )
        return NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * math.sqrt(variance) / sum(self.rows.values())


def mean_loss(rows: Rows) -> float:
    """Returns the expected mean loss of all rows."""
    return sum(each.loss * number for each, number in rows.items()) / sum(rows.values())


def classify_row(metric: str, probabilities: Sequence[float], group: str = "") -> RowClass:
    """Returns the class of a row by the model's probability of each class; expected losses have two digits.

    `metric` is log_loss, brier, or any other for the 0-1 loss of the most probable class.
    """
    losses = _losses(metric, probabilities)
    expected = sum(chance * loss for chance, loss in zip(probabilities, losses, strict=True))
    squared = sum(chance * loss**2 for chance, loss in zip(probabilities, losses, strict=True))
    return RowClass(float(f"{expected:.2g}"), float(f"{squared:.2g}"), group)


def _losses(metric: str, probabilities: Sequence[float]) -> list[float]:
    """Returns the loss that the row has if its true class is each of the classes."""
    if metric == "log_loss":
        return [-math.log(min(1.0, max(each, EPSILON))) for each in probabilities]
    if metric == "brier" and len(probabilities) == 2:
        return [probabilities[1] ** 2, (1 - probabilities[1]) ** 2]
    if metric == "brier":
        total = sum(each**2 for each in probabilities)
        return [total - 2 * each + 1 for each in probabilities]
    predicted = max(range(len(probabilities)), key=lambda at: probabilities[at])
    return [float(at != predicted) for at in range(len(probabilities))]


def random_number(salt: str, id: str, row: int) -> float:
    """Returns the random number of a row in [0, 1), which is the same in every draw; `salt` is unknown to clients, who choose ids."""
    digest = hashlib.sha256(f"{salt}\n{row}\n{id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def allocate_labels(rows: Rows, labels: float) -> Allocation:
    """Returns with which probability each row is drawn, for `labels` labels in expectation, or for all rows if there are fewer.

    Each group has at least five labels in expectation, as far as there are so many labels.
    """
    total = sum(rows.values())
    count = min(float(labels), total)
    uniform = max(UNIFORM_SHARE * count / total, MIN_PROBABILITY)
    sizes: dict[str, float] = {}
    for each, number in rows.items():
        sizes[each.group] = sizes.get(each.group, 0.0) + number
    floors = dict.fromkeys(rows, uniform)
    if len(sizes) > 1:
        wanted = {group: min(size, MIN_GROUP_LABELS) for group, size in sizes.items()}
        fraction = min(1.0, count / sum(wanted.values()))
        floors = {each: min(1.0, max(uniform, fraction * wanted[each.group] / sizes[each.group])) for each in rows}
    return Allocation(rows, _fill_up(rows, floors, count))


def _fill_up(rows: Rows, floors: Mapping[RowClass, float], count: float) -> dict[RowClass, float]:
    """Returns probabilities min(1, max(floor, scale * spread)) whose sum over the rows is `count`; the floors if that is more."""
    mean = mean_loss(rows)
    spreads = {each: each.spread(mean) for each in rows}

    def scale_up(scale: float) -> dict[RowClass, float]:
        return {each: min(1.0, max(floor, scale * spreads[each])) for each, floor in floors.items()}

    low, high = math.log(1e-12 / max(spreads.values())), math.log(1 / min(spreads.values()))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        is_below = sum(rows[each] * chance for each, chance in scale_up(math.exp(middle)).items()) <= count
        low, high = (middle, high) if is_below else (low, middle)
    return scale_up(math.exp(low))


def count_labels_for(rows: Rows, half_width: float) -> int:
    """Returns how many labels make half of the 95 % interval of the mean loss at most `half_width`, as far as expected losses are right."""
    low, high = 0, math.ceil(sum(rows.values()))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if allocate_labels(rows, middle).half_width <= half_width else (middle, high)
    return high

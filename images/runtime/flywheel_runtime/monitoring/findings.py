"""Findings: effects beyond their threshold, of which a sequential test is sure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Problem = Literal["NotFinite", "ConstantOutput", "ModelFailed"]


@dataclass(frozen=True)
class Finding:
    """An effect beyond its threshold.

    `measure` is what the effect is in: psi, or the increase of the share of an anomaly. `since` is the start of the window from which
    on evidence grew, `until` the end of the last window that was tested. `evidence` is the decimal logarithm of the odds
    against no effect above the threshold. `share` is the version's share of traffic in the last window. `is_skew`:
    the version's first window differed from its training already, so that serving computes or gets the column otherwise. `problem` is
    what is wrong with the model's answers, where the finding is of them and says so.
    """

    signal: str
    subject: str
    version: str
    measure: str
    effect: float
    threshold: float
    since: int
    until: int
    evidence: float
    share: float
    is_skew: bool = False
    problem: Problem | None = None

    def to_json(self) -> dict[str, Any]:
        """The JSON that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Finding":
        """The finding in a document. Raises TypeError."""
        return cls(**document)


@dataclass(frozen=True)
class ObservedSubject:
    """What one look of a test is about, and in which window; the fields are those of Finding."""

    signal: str
    subject: str
    version: str
    measure: str
    threshold: float
    until: int
    share: float
    is_skew: bool = False
    problem: Problem | None = None

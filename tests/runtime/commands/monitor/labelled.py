"""A monitored service that logs rows, and runs of the monitor with their labels."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.runtime.monitoring.labels.log_files import LoggedRow, PostedLabel, write_labels, write_rows
from tests.runtime.monitoring.traffic import Server

CLAIMS, STRANGER = "system:serviceaccount:shop:claims", "system:serviceaccount:shop:stranger"
ROWS, REGIONS = 900, ("north", "south")
PARAMS: dict[str, Any] = {
    "groundTruth": {"minDelaySeconds": 0, "maxDelaySeconds": 7200},
    "signals": {"performance": {"metric": "roc_auc", "maxDrop": "0.05"}},
    "minRows": 300,
}
SIGNATURE = {"classes": ["0", "1"], "outputs": [{"name": "label"}, {"name": "probabilities"}]}
EVALUATION = {
    "test": {"rows": 5_000, "metrics": {"roc_auc": 0.8333, "brier": 0.1667, "accuracy": 0.75}},
    "confusionMatrix": {"counts": [[1_900, 600], [600, 1_900]]},
}


@dataclass
class Labelled:
    """A monitored service that logs its predictions, and whose labels arrive an hour later."""

    monitored: Any
    params: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(PARAMS)))

    def __post_init__(self) -> None:
        pod: Server = self.monitored.pod
        self.version = pod.version
        self.inputs: Path = self.monitored.root / "inputs"
        folder = self.inputs / f"version-{pod.version}"
        (folder / "signature.json").write_text(json.dumps(SIGNATURE))
        (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
        self.params["versions"] = [{"name": pod.version, "digest": pod.digest}]
        self.generator = np.random.default_rng(11)

    @property
    def digest(self) -> str:
        """That of the served version's artifact."""
        return str(self.params["versions"][0]["digest"])

    def serve_version(self, name: str) -> None:
        """From now on another version is served, which was as good in its training."""
        shutil.copytree(self.inputs / f"version-{self.version}", self.inputs / f"version-{name}")
        self.version = name
        [before] = self.params["versions"]
        self.params["versions"] = [{"name": name, "digest": "sha256:" + "2" * 64}, {**before, "labelsOnly": True}]

    def run_hour(
        self,
        flipped: float = 0.0,
        label_share: float = 1.0,
        delay: int = 3_600,
        drawn: float | None = None,
        south: Callable[[Any], Any] = lambda scores: scores,
        hostile: float = 0.0,
    ) -> dict[str, Any]:
        """An hour with logged rows and labels, and the run over it. A share of the labels is the opposite of what it was.

        With `drawn`, a share of all rows whose probability is about 1/2, and 0.3 of that of the others, was drawn to be labelled. Every
        second row is of region south, whose scores are changed by `south` after their labels are known. A share of the rows is labelled by
        STRANGER alone, all wrong, and the others by CLAIMS.
        """
        start, hour = int(self.monitored.start.timestamp()), self.monitored.windows
        probabilities = self.generator.random(ROWS)
        truths = (self.generator.random(ROWS) < probabilities) ^ (self.generator.random(ROWS) < flipped)
        chances = [label_share if drawn is None else drawn * (1 if abs(p - 0.5) < 0.2 else 0.3) for p in probabilities]
        probabilities[1::2] = south(probabilities[1::2])
        rows = [LoggedRow(f"{hour}-{at}", start + at * 3600 // ROWS, float(p), key=f"k{hour}-{at}", version=self.version, digest=self.digest, region=REGIONS[at % 2]) for at, p in enumerate(probabilities)]  # fmt: skip
        labels = [PostedLabel(str(int(truth)), start + delay, id=f"{hour}-{at}", probability=None if drawn is None else chance) for at, (truth, chance) in enumerate(zip(truths, chances, strict=True)) if self.generator.random() < chance]  # fmt: skip
        if hostile:
            taken = set(self.generator.permutation(len(labels))[: round(hostile * len(labels))].tolist())
            labels = [replace(each, label=str(1 - int(each.label)), source=STRANGER) if at in taken else replace(each, source=CLAIMS) for at, each in enumerate(labels)]  # fmt: skip
        write_rows(self.inputs / "rows" / f"hour={hour}" / "rows.parquet", rows)
        write_labels(self.inputs / "labels" / f"hour={hour}" / "labels.parquet", labels)
        report: dict[str, Any] = self.monitored.run_hour(**self.params)
        return report

"""Records of trials as the reader returns them."""

from typing import Any


def record(number: int, **fields: Any) -> dict[str, Any]:
    """A trial of Experiment `flight-delay`; `fields` replace those of the record."""
    return {
        "v": 1,
        "number": number,
        "id": f"0c7a5f0e-6f6d-4c8f-9d8e-000000000001.trial-{number}",
        "kind": "Experiment",
        "name": "flight-delay",
        "step": f"trial-{number}",
        "trial": number,
        "state": "Succeeded",
        "estimator": "Ridge",
        "dataset": "flights",
        "datasetVersion": "flights-f430cdc0",
        "datasetDigest": f"sha256:{'f' * 64}",
        "parameters": {"alpha": 0.1 * number},
        "loggedParameters": {},
        "metrics": {"roc_auc": 0.6 + number / 100},
        "tags": {"team": "ops"},
        "objective": {"metric": "roc_auc", "maximize": True},
        "code": {"repository": "https://git.example/team/models", "revision": "9f8e7d6c"},
        "startedAt": "2026-11-28T12:00:00Z",
        "finishedAt": "2026-11-28T12:01:00Z",
        **fields,
    }

"""A flight model with the baseline that its training would have written, and a store to log into."""

import json
import shutil
from pathlib import Path

import pytest

from tests.runtime.conftest import bucket, server
from tests.runtime.s3_server import Server as S3
from tests.serving.prediction_log.log_store import LogStore

__all__ = ["bucket", "server"]

BASELINE = {
    "v": 1,
    "rows": 400,
    "features": {
        "month": {"type": "Integer", "edges": [1.0, 4.0, 7.0, 12.0]},
        "wind": {"type": "Float", "edges": [0.0, 5.0, 10.0, 15.0, 20.0]},
        "carrier": {"type": "String", "categories": ["UA", "DL"], "allCategories": False},
    },
    "predictions": {"edges": [0.0, 0.25, 0.5, 0.75, 1.0], "counts": {}},
}


@pytest.fixture(scope="session")
def logged_flights(flights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The flight model as `conftest` of the server's tests makes it, with a baseline."""
    folder = tmp_path_factory.mktemp("logged") / "flights"
    shutil.copytree(flights, folder)
    (folder / "baseline.json").write_text(json.dumps(BASELINE))
    return folder


@pytest.fixture
def log_store(server: S3, bucket: str, tmp_path: Path) -> LogStore:
    """The log in a bucket of the test's own, and the folder of the store's Secret."""
    return LogStore(server, bucket, tmp_path / "secret")

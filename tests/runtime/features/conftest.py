"""One database for all tests that compile expressions."""

from collections.abc import Iterator

import pytest

from flywheel_runtime.features.compiler import open_database
from tests.runtime.features.equality import NativeModels
from tests.runtime.features.random_rows import COLUMNS


@pytest.fixture(scope="session")
def models() -> Iterator[NativeModels]:
    with open_database(COLUMNS) as database:
        yield NativeModels(database)

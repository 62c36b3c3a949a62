"""How many workers have room, and what a call may allocate."""

import pytest

from flywheel_serving.memory import MEBIBYTE
from flywheel_serving.workers.memory_share import MIN_CALL_BYTES, MemoryShare, share_memory


@pytest.mark.parametrize(
    ("total", "loaded", "wanted"),
    [
        pytest.param(1000, 100, MemoryShare(2, 400 * MEBIBYTE), id="two have room"),
        pytest.param(500, 200, MemoryShare(1, 300 * MEBIBYTE), id="one alone has room"),
        pytest.param(200, 300, MemoryShare(1, MIN_CALL_BYTES), id="one that needs more than there is"),
        pytest.param(0, 100, MemoryShare(1, MIN_CALL_BYTES), id="a limit below the server's own memory"),
    ],
)
def test_workers_share_the_memory(total: int, loaded: int, wanted: MemoryShare) -> None:
    assert share_memory(total * MEBIBYTE, 2, loaded * MEBIBYTE) == wanted

"""Start the operator in this process."""

import asyncio
import gc
import logging
from collections.abc import Mapping, Sequence

import uvloop

from flywheel.core.resource.kind import AnyKind
from flywheel.engine import logs
from flywheel.engine.operator import Operator

logger = logging.getLogger(__name__)


def run(kinds: Sequence[AnyKind], environment: Mapping[str, str]) -> int:
    """Until SIGTERM or something that only a new process can mend. Returns the exit code.

    Raises:
        ValueError: a variable of the environment cannot be read.
    """
    gc.freeze()  # what is imported by now stays; a start with 30,000 objects took 30 s without these two lines, 20 s with them
    gc.set_threshold(20_000, 20, 20)
    logs.to_stderr(environment.get("FLYWHEEL_LOG_LEVEL", "INFO"))

    async def whole() -> int:
        return await Operator(kinds, environment).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(whole())
    logger.info("ended with %d", code)
    return code

"""One line for each finding: time, level, what it is about, what was found. A traceback stays on its line."""

import logging
import sys
import time


class _Line(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", "\\n")


def to_stderr(level: str) -> None:
    """Write all logs of this process there.

    Raises:
        ValueError: no such level.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("kopf", "asyncio", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

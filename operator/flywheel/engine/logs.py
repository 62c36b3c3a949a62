"""Logs with one line for each record, tracebacks included."""

import logging
import sys
import time


class _LineFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", "\\n")


def log_to_stderr(level: str) -> None:
    """Writes all logs of this process to stderr.

    Raises:
        ValueError: there is no such level.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _LineFormatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("kopf", "asyncio", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

"""Runs the verification in a child process, and writes the termination message."""

import contextlib
import json
import logging
import os
import sys
from pathlib import Path

from flywheel_serving import logs
from flywheel_serving.errors import ModelRefused
from flywheel_serving.verify import isolation
from flywheel_serving.verify.verification import verify

MAX_MESSAGE_BYTES = 2_000
VERIFIED, REFUSED = 0, 2  # exit codes

log = logging.getLogger(__name__)


def main() -> int:
    logs.configure()
    root = Path(os.environ.get("FLYWHEEL_ROOT", "/flywheel"))
    # A file made to break the parser may kill the process: that is the file's fault and must not look like the node's.
    result = isolation.run(lambda: _verify(root))
    if result.signal is None:
        return result.code
    finding = f"loading or running the model ended the process with {result.signal}"
    return _refuse(ModelRefused("ModelCrashed", f"{finding}; export it again, or with another opset"))


def _verify(root: Path) -> int:
    try:
        verify(root)
    except ModelRefused as error:
        return _refuse(error)
    return VERIFIED


def _refuse(error: ModelRefused) -> int:
    log.error("%s", error, extra={"facts": {"reason": error.reason}})
    message = str(error).encode()[:MAX_MESSAGE_BYTES].decode(errors="ignore")
    path = Path(os.environ.get("FLYWHEEL_TERMINATION_LOG", "/dev/termination-log"))
    with contextlib.suppress(OSError):  # outside Kubernetes there is no such file; the log has the same message
        path.write_text(json.dumps({"reason": error.reason, "message": message}))
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())

"""A unix socket whose connections are each served by a process of its own: what loads models, or writes to the store, may die alone.

The process that listens must not end while its pod runs, since a pod of which a container waits to be started again is not ready.
So it only starts others.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

SOCKET_MODE = 0o666  # only the containers that mount its folder reach it
# Each thread reserves memory (OpenBLAS: 40 MiB), and by default there is one for each CPU of the node.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

log = logging.getLogger(__name__)


class ProcessPerConnection:
    """Serves one connection after the other. On SIGTERM it ends with the process, or at once without one."""

    def __init__(self, path: str, module: str, argument: str, noun: str, variables: Mapping[str, str]) -> None:
        """`module` runs with `argument`, and the connection as its standard input and output; the log calls it `noun`."""
        self._path, self._module, self._argument, self._noun = Path(path), module, argument, noun
        self._variables = {**ONE_THREAD, **variables}
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopping = False

    def serve(self) -> None:
        """Listens until SIGTERM."""
        self._path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(self._path))
            self._path.chmod(SOCKET_MODE)
            listener.listen(8)
            signal.signal(signal.SIGTERM, self._stop)
            log.info("listening at %s", self._path)
            while not self._is_stopping:
                connection, _ = listener.accept()
                self._run(connection)

    def _run(self, connection: socket.socket) -> None:
        isolation = ("-I",) if sys.flags.isolated else ()  # as this process is, in our image
        with connection:
            self._process = subprocess.Popen(
                [sys.executable, *isolation, "-u", "-m", self._module, self._argument],
                stdin=connection.fileno(),
                stdout=connection.fileno(),
                env={**os.environ, **self._variables},
            )
        code = self._process.wait()
        self._process = None
        if code:
            log.warning("the %s ended with %d; the server connects again", self._noun, code)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
        if self._process is None:
            os._exit(0)

"""`python3 -m flywheel_serving.prediction_log.sink JSON`: the process of the container `log-sink`.

server --socket--> sink, which starts a writer for the connection --> writer --> store

The container alone has the store's key, and another user than the server. It must not end while its pod runs, since a pod
of which a container waits to be started again is not ready: so the sink itself only starts writers, which may die.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType

from flywheel_serving import logs
from flywheel_serving.prediction_log.config import LogConfig, parse_log_config

SOCKET_MODE = 0o666  # only the containers that mount its folder reach it
# Each thread reserves memory (OpenBLAS: 40 MiB), and by default there is one for each CPU of the node.
WRITER_THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKIO_WORKER_THREADS": "2"}
WRITER = ("-I", "-u", "-m", "flywheel_serving.prediction_log.sink.writer")

log = logging.getLogger(__name__)


class Sink:
    """Serves one connection after the other. On SIGTERM it ends with the writer, or at once without one."""

    def __init__(self, config: LogConfig) -> None:
        self._config = config
        self._writer: subprocess.Popen[bytes] | None = None
        self._is_stopping = False

    def serve(self) -> None:
        """Listens until SIGTERM."""
        path = Path(self._config.socket)
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            path.chmod(SOCKET_MODE)
            listener.listen(8)
            signal.signal(signal.SIGTERM, self._stop)
            log.info("listening at %s", path)
            while not self._is_stopping:
                connection, _ = listener.accept()
                self._write(connection)

    def _write(self, connection: socket.socket) -> None:
        with connection:
            self._writer = subprocess.Popen(
                [sys.executable, *_isolation(), self._config.to_json()],
                stdin=connection.fileno(),
                stdout=connection.fileno(),
                env={**os.environ, **WRITER_THREADS},
            )
        code = self._writer.wait()
        self._writer = None
        if code:
            log.warning("the writer ended with %d; the server connects again", code)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
        if self._writer is None:
            os._exit(0)


def _isolation() -> tuple[str, ...]:
    """The writer's command; isolated if this process is, as in our image."""
    return WRITER if sys.flags.isolated else WRITER[1:]


def main() -> None:
    logs.configure()
    Sink(parse_log_config(sys.argv[1])).serve()


if __name__ == "__main__":
    main()

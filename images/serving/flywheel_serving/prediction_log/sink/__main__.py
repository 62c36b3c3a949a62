"""`python3 -m flywheel_serving.prediction_log.sink JSON`: the process of the container `log-sink`.

server --socket--> sink, which starts a writer for the connection --> writer --> store

The container alone has the store's key, and another user than the server.
"""

import sys

from flywheel_serving import logs
from flywheel_serving.prediction_log.config import parse_log_config
from flywheel_serving.process_per_connection import ProcessPerConnection

WRITER = "flywheel_serving.prediction_log.sink.writer"
WRITER_THREADS = {"TOKIO_WORKER_THREADS": "2"}


def main() -> None:
    logs.configure()
    config = parse_log_config(sys.argv[1])
    ProcessPerConnection(config.socket, WRITER, config.to_json(), "writer", WRITER_THREADS).serve()


if __name__ == "__main__":
    main()

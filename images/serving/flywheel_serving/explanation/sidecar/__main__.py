"""`python3 -m flywheel_serving.explanation.sidecar JSON`: the process of the container `explain`.

server --socket--> sidecar, which starts a worker for the connection --> worker, which loads the model and explains rows

A model that ends its process, or takes all of its memory, ends the worker; the server connects again and goes on meanwhile.
"""

import sys

from flywheel_serving import logs
from flywheel_serving.explanation.sidecar.config import parse_explain_config
from flywheel_serving.process_per_connection import ProcessPerConnection

WORKER = "flywheel_serving.explanation.sidecar.worker"


def main() -> None:
    logs.configure()
    config = parse_explain_config(sys.argv[1])
    ProcessPerConnection(config.socket, WORKER, config.to_json(), "explainer", {}).serve()


if __name__ == "__main__":
    main()

"""`python3 -m flywheel_serving --model DIR`: serve one model."""

import logging
import os
from typing import NoReturn

from flywheel_serving import logs
from flywheel_serving.settings import parse


def main() -> NoReturn:
    settings = parse()
    logs.configure()
    from flywheel_serving import server  # after the flags: --help and errors in flags need no onnxruntime

    code = server.run(settings)
    logging.shutdown()
    # A plain exit waits for every thread, so an inference that outlasted the grace period would delay it.
    os._exit(code)


if __name__ == "__main__":
    main()

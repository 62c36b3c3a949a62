"""`python3 -m flywheel_serving --model DIR`: serve one model."""

import logging
import os
from typing import NoReturn

from flywheel_serving import logs, settings


def main() -> NoReturn:
    given = settings.parse()
    logs.start()
    from flywheel_serving import server  # after the flags: wrong ones, and --help, are answered without onnxruntime

    code = server.run(given)
    logging.shutdown()
    # A plain exit waits for every thread, so an inference that was cut after the grace would hold it up until killed.
    os._exit(code)


if __name__ == "__main__":
    main()

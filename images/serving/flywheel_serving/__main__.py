"""`python3 -m flywheel_serving --model DIR`: serve one model."""

import sys

from flywheel_serving import logs, settings


def main() -> int:
    given = settings.parse()
    logs.start()
    from flywheel_serving import server  # after the flags: wrong ones, and --help, are answered without onnxruntime

    return server.run(given)


if __name__ == "__main__":
    sys.exit(main())

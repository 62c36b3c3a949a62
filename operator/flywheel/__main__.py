"""`python3 -m flywheel` is `flywheel operator`: what the operator's image runs."""

import sys

from flywheel.cli import main

if __name__ == "__main__":
    sys.exit(main(["operator", *sys.argv[1:]]))

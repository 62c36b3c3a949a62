"""`python3 -m flywheel COMMAND` is `flywheel COMMAND`; without one it is `flywheel operator`: what the operator's image runs."""

import sys

from flywheel.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["operator"]))

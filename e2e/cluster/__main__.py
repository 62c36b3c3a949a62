"""The verbs of the development cluster."""

import argparse
import sys
from pathlib import Path

from e2e.cluster.progress import Failure


def main() -> int:
    from e2e.cluster import native

    p = argparse.ArgumentParser()
    p.add_argument("verb")
    p.add_argument("--force", action="store_true")
    a = p.parse_args()
    try:
        if a.verb == "up":
            native.up()
        if a.verb == "down":
            native.down(a.force)
    except Failure as f:
        print(f.report(), file=sys.stderr)
        return 1
    return 0


sys.exit(main())

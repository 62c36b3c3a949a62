"""`make test`: every floor of tests that this machine can hold, and a sentence about each that it cannot."""

import os
import subprocess
import sys
import time

from e2e.cluster import cluster
from e2e.cluster.places import CHECKOUT
from e2e.cluster.progress import Failure, say

WITHOUT_RIGHTS = ("check", "unit", "integration", "apiserver")
KILLS = "2 14 each"  # of the story operator_killed, all of which take ten minutes; `make e2e K=operator_killed` tells them all
TESTS = ("unit", "integration", "apiserver", "e2e")
WITH_A_CLUSTER = ("up", "images", "deploy", "e2e")


def why_no_cluster() -> str | None:
    """A sentence, or None if a cluster can be had."""
    picked = cluster.chosen()
    if picked.kind == "native" and os.geteuid() != 0:
        return "there is no Docker engine, and real Kubernetes without one needs root"
    return None


def stories() -> list[str]:
    """The names that `make e2e K=` takes."""
    return sorted(path.stem.removeprefix("test_") for path in (CHECKOUT / "e2e").glob("test_*.py"))


def passed(target: str) -> bool:
    """A test that fails is run once more, alone: a busy machine may be too slow for its clocks, a mistake is there again."""
    if make(target):
        return True
    if target not in TESTS:
        return False
    say(f"some tests of make {target} failed; running those once more")
    return make(target, "AGAIN=--last-failed")


def make(*words: str) -> bool:
    """Whether it succeeded."""
    done = subprocess.run(
        ["make", "--no-print-directory", *words], cwd=CHECKOUT, check=False, env={"KILLS": KILLS, **os.environ}
    )
    return done.returncode == 0


def main() -> int:
    """0 if every floor passed; with CI=true a floor that was left out is a failure."""
    try:
        missing = why_no_cluster()
    except Failure as failure:
        sys.stderr.write(f"{failure.report()}\n")
        return 1
    for target in (*WITHOUT_RIGHTS, *(() if missing else WITH_A_CLUSTER)):
        began = time.monotonic()
        say(f"make {target}")
        if not passed(target):
            say(f"make {target} failed; run it alone to look closer. What comes after it was not tried")
            return 1
        say(f"make {target} passed in {time.monotonic() - began:.0f} s")
    if missing is None:
        return 0
    say(
        f"Left out, since {missing}: {', '.join(stories())}. Run 'make test' as root, or with Docker, or with CLUSTER=current"
    )
    return 1 if os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make test`: every floor of tests that this machine can hold, and a sentence about each that it cannot."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable

from e2e.cluster import cluster
from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import Failure, announce

CHECK, CLUSTER = ("check",), ("up", "images", "deploy")
MACHINE = ("unit", "integration", "apiserver")  # busy, and without a cluster
OPERATORS = ("stories-of-operators",)  # which wait most of their time
STORIES = ("stories",)
TESTS = (*MACHINE, *OPERATORS, *STORIES)
KILLS = "2 14 each"  # of test_operator_killed, all of which take ten minutes; `make test-long` has them all


def missing_for_cluster() -> str | None:
    """A sentence, or None if a cluster can be had."""
    picked = cluster.chosen()
    if picked.kind == "native" and os.geteuid() != 0:
        return "there is no Docker engine, and real Kubernetes without one needs root"
    return None


def test_names() -> list[str]:
    """The names that `make e2e K=` takes."""
    return sorted(path.stem.removeprefix("test_") for path in (CHECKOUT / "e2e").glob("test_*.py"))


def passed(targets: Iterable[str]) -> bool:
    """Whether all of them did; after one that did not, the rest is not tried."""
    for target in targets:
        began = time.monotonic()
        announce(f"make {target}")
        if not succeeded(target):
            announce(f"make {target} failed; run it alone to look closer. What comes after it was not tried")
            return False
        announce(f"make {target} passed in {time.monotonic() - began:.0f} s")
    return True


def succeeded(target: str) -> bool:
    """A test that fails is run once more, alone: a busy machine may be too slow for its clocks, a mistake is there again."""
    if make(target):
        return True
    if target not in TESTS:
        return False
    announce(f"some tests of make {target} failed; running those once more")
    return make(target, "AGAIN=--last-failed")


def run_side_by_side(here: Iterable[str], beside: Iterable[str]) -> bool:
    """Whether all targets passed; what was said of those beside is printed when both lanes have ended."""
    with tempfile.TemporaryFile("w+") as said:
        words = [sys.executable, "-m", "e2e.suite", *beside]
        other = subprocess.Popen(words, cwd=CHECKOUT, stdout=said, stderr=subprocess.STDOUT)
        well = passed(here)
        well = (other.wait() == 0) and well
        said.seek(0)
        sys.stdout.write(said.read())
    return well


def make(*words: str) -> bool:
    """Whether it succeeded."""
    done = subprocess.run(
        ["make", "--no-print-directory", *words], cwd=CHECKOUT, check=False, env={"KILLS": KILLS, **os.environ}
    )
    return done.returncode == 0


def main(targets: list[str]) -> int:
    """0 if every floor passed, or every target that is named; with CI=true a floor that was left out is a failure."""
    if targets:
        return 0 if passed(targets) else 1
    try:
        missing = missing_for_cluster()
    except Failure as failure:
        sys.stderr.write(f"{failure.report()}\n")
        return 1
    if missing is None:
        return 0 if passed((*CHECK, *CLUSTER)) and run_side_by_side(MACHINE, OPERATORS) and passed(STORIES) else 1
    if not passed((*CHECK, *MACHINE)):
        return 1
    announce(
        f"Left out, since {missing}: {', '.join(test_names())}. Run 'make test' as root, or with Docker, or with CLUSTER=current"
    )
    return 1 if os.environ.get("CI") == "true" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

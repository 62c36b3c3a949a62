"""`make fuzz`: every target of `targets` under atheris, which is guided by the covered branches.

python -m tests.serving.fuzz [--seconds N] [--runs N] [TARGET ...]

Starts from the committed corpus; new inputs are in .fuzz/<target>/, and so is an input that fails, as
crash-…, timeout-… or oom-…. Such an input belongs into corpus/<target>/ with the mend.
"""

import argparse
import subprocess
import sys
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
FOUND = Path(__file__).parents[3] / ".fuzz"
NAMES = ("http", "rest", "rpc", "binary", "onnx")
HANGS_SECONDS = 10
MEMORY_MEBIBYTES = 1_024  # of the whole process, onnxruntime and numpy with it
LARGEST_BYTES = 4_096


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Feed strangers' bytes to the server's parsers.")
    parser.add_argument("--seconds", type=int, default=300, help="for each target")
    parser.add_argument(
        "--runs", type=int, default=-1, help="inputs for each target; as many as there is time, if left out"
    )
    parser.add_argument("--in-process", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all, if left out")
    given = parser.parse_args()
    if unknown := set(given.targets) - set(NAMES):
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if given.in_process:
        fuzz(given.targets[0], given.seconds, given.runs)
    codes = [one(name, given.seconds, given.runs) for name in given.targets or NAMES]
    return max(codes)


def one(name: str, seconds: int, runs: int) -> int:
    """The exit code of a process of its own, since a crash ends it."""
    words = ["--in-process", f"--seconds={seconds}", f"--runs={runs}", name]
    done = subprocess.run([sys.executable, "-m", "tests.serving.fuzz", *words], check=False)
    print(f"{name}: {'nothing found' if done.returncode == 0 else f'failed, see {FOUND / name}'}")  # noqa: T201
    return done.returncode


def fuzz(name: str, seconds: int, runs: int) -> None:
    """Ends the process, with 0 if nothing was found."""
    import atheris  # imported here, since it has wheels for few platforms

    with atheris.instrument_imports(include=["flywheel_serving"]):
        from tests.serving.fuzz.targets import TARGETS
    folder = FOUND / name
    folder.mkdir(parents=True, exist_ok=True)
    flags = [
        f"-max_total_time={seconds}",
        f"-runs={runs}",
        f"-timeout={HANGS_SECONDS}",
        f"-rss_limit_mb={MEMORY_MEBIBYTES}",
        f"-max_len={LARGEST_BYTES}",
        f"-artifact_prefix={folder}/",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *flags, str(folder), str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())

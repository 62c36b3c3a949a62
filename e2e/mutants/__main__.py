"""Draw a sample of mutants, test each in a clone, and print those that survive without being listed in survivors.md.

python -m e2e.mutants [--count 300] [--seed 13] [--minutes 40] [FILE ...]
"""

import argparse
import ast
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor
from cosmic_ray.plugins import get_operator

from e2e.cluster.paths import CHECKOUT
from e2e.mutants.targets import changed, decisions, tests_of

# Arithmetic is replaced by what a person could have written instead; the rest (`a & b` for `a + b`) fails at once everywhere.
OPERATORS = (
    "AddNot", "ExceptionReplacer", "NumberReplacer", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue", "ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_USub_UAdd", "ZeroIterationForLoop",
    *(f"ReplaceBinaryOperator_{each}" for each in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Div_FloorDiv", "Mod_Mul", "Pow_Mul")),
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, b in (
        ("Lt", "LtE"), ("LtE", "Lt"), ("Gt", "GtE"), ("GtE", "Gt"), ("Eq", "NotEq"), ("NotEq", "Eq"), ("Is", "IsNot"), ("IsNot", "Is"),
        ("Lt", "GtE"), ("Gt", "LtE"))),
)  # fmt: skip
SURVIVORS = Path("e2e/mutants/survivors.md")
BRANCH_COUNT = 100  # of the files that the branch changed and that are not among the decisions
SECONDS_EACH = 6.0  # the goal for the median; a mutant that hangs is stopped far later
TIMEOUT_FACTOR, TIMEOUT_LEAST = 4.0, 30.0
EXAMPLES_FACTOR = (
    "0.1"  # properties with few examples: a mutant that only the hundredth finds is worth a test of its own
)
MARKERS = "not integration and not apiserver and not long_run and not exhaustive"


@dataclass(frozen=True)
class Mutant:
    """One fault. `before` and `after` are the changed line, without indentation."""

    module: Path
    operator: str
    occurrence: int
    line: int
    before: str
    after: str
    tests: tuple[str, ...]  # the last one is the whole folder

    @property
    def key(self) -> str:
        """How survivors.md names it; the number of the line is not part of it, since lines move."""
        return f"`{self.module}`: `{self.before}` → `{self.after}`"


def main() -> int:
    """Return 1 if a mutant survives that is not listed."""
    chosen = _arguments()
    deadline = time.monotonic() + 60 * chosen.minutes
    with tempfile.TemporaryDirectory(prefix="flywheel-mutants-") as folder:
        # The checkout may change meanwhile, so that all is read from a clone.
        sources = _clone(Path(folder) / "sources")
        mutants = _sample(sources, chosen)
        print(f"{len(mutants)} mutants, drawn with seed {chosen.seed}", flush=True)
        clones: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(chosen.workers):
            clones.put(_clone(Path(folder) / str(number)))
        limits = {folder: _limit(clones, folder) for folder in sorted({each.tests[-1] for each in mutants})}
        with ThreadPoolExecutor(chosen.workers) as pool:
            outcomes = list(pool.map(lambda each: _test(each, clones, limits[each.tests[-1]], deadline), mutants))
    return _report(mutants, outcomes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutation testing; see e2e/mutants/__init__.py.")
    parser.add_argument("files", nargs="*", type=Path, help="mutate these files in place of the usual ones")
    parser.add_argument("--count", type=int, default=300, help="how many mutants are drawn")
    parser.add_argument("--seed", type=int, default=13, help="of the sample")
    parser.add_argument("--minutes", type=float, default=40, help="stop then, though mutants are left")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="clones that test at the same time")
    return parser.parse_args()


def _sample(sources: Path, chosen: argparse.Namespace) -> list[Mutant]:
    draw = random.Random(chosen.seed)
    usual = decisions(sources)
    more = [] if chosen.files else [path for path in changed(CHECKOUT) if path not in usual]
    return _drawn(draw, sources, chosen.files or usual, chosen.count) + _drawn(draw, sources, more, BRANCH_COUNT)


def _drawn(draw: random.Random, sources: Path, files: list[Path], count: int) -> list[Mutant]:
    places = [(path, *place) for path in files for place in _places(sources / path)]
    draw.shuffle(places)
    found: list[Mutant] = []
    while places and len(found) < count:
        path, operator, occurrence, line = places.pop()
        lines = _change((sources / path).read_text(encoding="utf-8"), operator, occurrence)
        if lines and not lines[0].startswith(("def ", "async def ")):  # the star of a signature is no product
            found.append(Mutant(path, operator, occurrence, line, *lines, tests_of(sources, path)))
    return found


def _places(module: Path) -> list[tuple[str, int, int]]:
    """Operator, occurrence and line of every mutation of a file, but for those of annotations and decorators."""
    source = module.read_text(encoding="utf-8")
    ignored = _declarations(source)
    nodes = list(ast_nodes(get_ast(source)))
    found = []
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        positions = [start for node in nodes for start, _end in operator.mutation_positions(node)]
        for occurrence, start in enumerate(positions):
            if not any(first <= start < last for first, last in ignored):
                found.append((name, occurrence, start[0]))
    return found


def _declarations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.AnnAssign(annotation=annotation) | ast.arg(annotation=annotation):
                found.append(annotation)
            case ast.FunctionDef(returns=returns, decorator_list=decorators):
                found += [returns, *decorators]
            case ast.ClassDef(decorator_list=decorators):
                found += decorators
    return [
        ((each.lineno, each.col_offset), (each.end_lineno or each.lineno, each.end_col_offset or 0))
        for each in found
        if each is not None
    ]


def _mutated(source: str, operator: str, occurrence: int) -> str | None:
    code: str | None = MutationVisitor.mutate_code(source, get_operator(f"core/{operator}")(), occurrence)
    return code


def _change(source: str, operator: str, occurrence: int) -> tuple[str, str] | None:
    """The line before and after, if the mutation changes anything."""
    after = _mutated(source, operator, occurrence)
    pairs = zip(source.splitlines(), (after or source).splitlines(), strict=False)
    return next(((a.strip(), b.strip()) for a, b in pairs if a != b), None)


def _clone(folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", "--shared", CHECKOUT, folder], check=True)
    return folder


def _limit(clones: "queue.SimpleQueue[Path]", folder: str) -> float:
    """Seconds after which a mutant counts as killed, since it hangs. The tests must pass without a mutant."""
    clone = clones.get()
    began = time.monotonic()
    if not _passes(clone, (folder,), 600):
        sys.exit(f"the tests in {folder} fail without a mutant; run them first")
    clones.put(clone)
    seconds = time.monotonic() - began
    print(f"{seconds:5.1f} s without a mutant: {folder}", flush=True)
    return max(TIMEOUT_LEAST, TIMEOUT_FACTOR * seconds)


def _test(
    mutant: Mutant, clones: "queue.SimpleQueue[Path]", limit: float, deadline: float
) -> tuple[bool | None, float]:
    """Whether the mutant survives, None if no time was left, and the seconds that this took."""
    if time.monotonic() > deadline:
        return None, 0.0
    clone = clones.get()
    path = clone / mutant.module
    source = path.read_text(encoding="utf-8")
    began = time.monotonic()
    try:
        path.write_text(_mutated(source, mutant.operator, mutant.occurrence) or source, encoding="utf-8")
        survives = _passes(clone, mutant.tests, limit)
    finally:
        path.write_text(source, encoding="utf-8")
        clones.put(clone)
    seconds = time.monotonic() - began
    print(
        f"{'SURVIVES' if survives else 'killed  '} {seconds:5.1f} s  {mutant.module}:{mutant.line}  {mutant.after}",
        flush=True,
    )
    return survives, seconds


def _passes(clone: Path, tests: tuple[str, ...], limit: float) -> bool:
    roots = ("operator", "images/runtime", "images/serving", ".")
    # Without .pyc files, whose validity depends on times that are too coarse for this.
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "EXAMPLES_FACTOR": EXAMPLES_FACTOR,
        "PYTHONPATH": ":".join(str(clone / each) for each in roots),
    }
    command = [
        str(CHECKOUT / ".venv/bin/python"),
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        MARKERS,
        *tests,
    ]
    process = subprocess.Popen(
        command,
        cwd=clone,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(limit) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


def _report(mutants: list[Mutant], outcomes: list[tuple[bool | None, float]]) -> int:
    listed = (CHECKOUT / SURVIVORS).read_text(encoding="utf-8")
    tested = sorted(seconds for survives, seconds in outcomes if survives is not None)
    survivors = [each for each, (survives, _seconds) in zip(mutants, outcomes, strict=True) if survives]
    unlisted = [each for each in survivors if each.key not in listed]
    if tested:
        print(
            f"{len(tested)} tested, median {tested[len(tested) // 2]:.1f} s (goal {SECONDS_EACH:.0f} s), {len(survivors)} survive"
        )
    if len(tested) < len(mutants):
        print(f"{len(mutants) - len(tested)} were left out, since the time was up")
    for each in unlisted:
        print(f"- {each.key}: (line {each.line}, {each.operator})")
    if unlisted:
        print(f"Kill these {len(unlisted)} with a test, or list each with its reason in {SURVIVORS}.")
    return 1 if unlisted else 0


if __name__ == "__main__":
    if shutil.which("git") is None:
        sys.exit("git is missing; mutants are tested in clones")
    sys.exit(main())

"""The small inputs of cases/: tables that people bring, one folder for each kind of fault."""

from pathlib import Path

CASES = Path(__file__).parent / "cases"


def read_case(name: str) -> dict[str, str | bytes]:
    """The files of the source of a case, by their paths."""
    source = CASES / name / "src"
    return {str(path.relative_to(source)): path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}

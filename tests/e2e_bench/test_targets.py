"""Results of a benchmark: a run of some scenarios replaces theirs alone."""

from pathlib import Path

import pytest

from e2e.bench import targets
from e2e.bench.targets import Target


def test_a_partial_run_keeps_the_results_of_the_others_with_their_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "RESULTS", tmp_path)

    def run(command: str, **found: float) -> str:
        figures = {name: {"lost": value} for name, value in found.items()}
        earlier = targets.earlier_results("attacks", figures)
        bounds = [Target(name, value, 0) for name, value in found.items()]
        targets.write_results("attacks", command, figures, bounds, earlier=earlier)
        return (tmp_path / "attacks.md").read_text()

    run("first", idle=1, tokens=2)
    run("second", idle=3)
    text = run("third", stuck=4)

    assert "- `stuck`: lost 4\n" in text
    assert text.count("by an earlier run") == 2
    assert "lost 1" not in text
    found = targets.earlier_results("attacks", ["idle"])
    assert {name: (each["command"], each["figures"]) for name, each in found.items()} == {
        "stuck": ("third", {"lost": 4}),
        "tokens": ("first", {"lost": 2}),
    }

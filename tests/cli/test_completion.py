"""Which arguments are completed with names of the cluster, and that a cluster that is away completes nothing."""

import argparse
import sys

import pytest

from flywheel.cli.completion import complete_for_kubectl, find_completer, make_completed_parser


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        ("approve", "version"),
        ("cancel", "object"),
        ("explain", "object"),
        ("export", "version"),
        ("logs", "target"),
        ("pin", "model"),
        ("predict", "model"),
        ("promote", "version"),
        ("rollback", "to"),
        ("run", "pipeline"),
        ("run", "reproduce_of"),
        ("status", "namespace"),
        ("trials", "experiment"),
    ],
)
def test_an_argument_is_completed_by_names(command: str, argument: str) -> None:
    parser = make_completed_parser([command])
    (commands,) = (each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    action = next(each for each in commands.choices[command]._actions if each.dest == argument)

    assert find_completer(action) is not None
    assert hasattr(action, "completer")


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["roll"], ["rollback"]),
        (["status", "--wa"], ["--watch"]),
        (["status", "-o", "j"], ["json"]),
        (["explain", "mod"], []),
    ],
)
def test_kubectl_is_answered_though_no_cluster_is_there(
    words: list[str],
    completions: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nonexistent")
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-flywheel", *words])

    assert complete_for_kubectl() == 0
    assert capsys.readouterr().out.splitlines() == [*completions, ":4"]

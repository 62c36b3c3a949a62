"""What the demo prints to go on with can be typed as it stands, in the checkout."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from demo import __main__ as demo
from e2e.cluster.paths import CHECKOUT
from e2e.setup import ENVIRONMENT, write_command
from flywheel.cli import make_parser

LINES = [line.partition(" #")[0].strip() for line in demo.how_to_go_on(Path("/k/config"), None).splitlines()]
COMMANDS = [shlex.split(line)[1:] for line in LINES if line.startswith(demo.COMMAND)]


def test_the_demo_names_commands_that_read_back_what_was_tracked() -> None:
    assert ENVIRONMENT / "bin" / "flywheel" == CHECKOUT / demo.COMMAND
    assert {"trials", "compare", "logs"} <= {words[0] for words in COMMANDS}


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_every_command_that_the_demo_prints_can_be_parsed(words: list[str]) -> None:
    assert make_parser(words).parse_args(words).namespace == demo.NAMESPACE


def test_the_reader_is_shown_the_token_of_an_account_that_the_demo_creates() -> None:
    account, *bindings = demo.account_manifests()
    name = account["metadata"]["name"]

    assert LINES[1].endswith(f" FLYWHEEL_SERVICE_ACCOUNT={demo.NAMESPACE}/{name}")
    assert [each["roleRef"]["name"] for each in bindings] == ["edit", "flywheel-data-reader"]
    assert {each["subjects"][0]["name"] for each in bindings} == {name}


def test_a_shell_without_kubectl_is_given_one() -> None:
    assert "export PATH=$PATH:'/a b'" in demo.how_to_go_on(Path("/k/config"), Path("/a b"))


def test_the_command_of_the_checkout_runs_from_everywhere(tmp_path: Path) -> None:
    write_command(tmp_path / "flywheel", Path(sys.executable))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    done = subprocess.run([tmp_path / "flywheel", "--help"], cwd="/", env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: flywheel COMMAND")

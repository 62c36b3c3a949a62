"""What commands print: for people, for programs, and for neither of them what a hostile name wants."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
import yaml

import flywheel
from flywheel.cli import COMMANDS, main, output
from flywheel.cli.output import Column
from flywheel.client.controls import escape_lines
from flywheel.cluster.errors import ApiError

PATH = {"PYTHONPATH": os.pathsep.join(sys.path)}
HOSTILE = "evil\x1b[31m\u202egnp.exe"
ROWS = [
    {"name": "flight-delay", "state": "Ready", "value": 0.123456789, "message": "A sentence " + "of many words " * 12},
    {"name": HOSTILE, "state": "Failed", "value": math.nan, "message": "[red]no markup[/red]"},
]
COLUMNS = [
    Column("NAME", "name"),
    Column("STATE", "state", style=lambda row: "good" if row["state"] == "Ready" else "bad"),
    Column("VALUE", "value", right=True),
    Column("MESSAGE", "message", wrap=True),
    Column("NUMBERS", lambda _row: (1, 2), wide=True),
]


def run(words: Sequence[str], **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Runs the command as a shell does."""
    script = "import sys; from flywheel.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        env={**os.environ, **PATH, **environment},
        check=False,
    )


def test_a_table_in_a_pipe_has_every_cell_whole(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_objects(ROWS, COLUMNS)
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split() == ["NAME", "STATE", "VALUE", "MESSAGE"]
    assert lines[1].endswith(("of many words " * 12).rstrip())
    assert lines[2].split("   ")[-1] == "[red]no markup[/red]"
    assert "NaN" in lines[2]
    assert len(lines) == 3


def test_a_table_on_a_terminal_is_as_wide_as_that(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    output.print_objects(ROWS, COLUMNS)
    printed = capsys.readouterr().out

    assert "\x1b[32mReady" in printed
    assert "\x1b[31m\u202e" not in printed
    assert "\\x1b[31m\\u202egnp.exe" in printed


@pytest.mark.parametrize("terminal", [False, True], ids=["a pipe", "a terminal"])
def test_a_title_is_no_markup(
    terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    titles = ["a[/b]", "w[i]", ":smile:", "[red]x"]
    output.print_objects([{"name": "x"}], [Column(title, "name") for title in titles])
    printed = capsys.readouterr().out

    assert all(title in printed for title in titles)


def test_a_text_in_a_pipe_is_no_markup() -> None:
    assert output.render_text("a[/b] w[i] :smile:") == "a[/b] w[i] :smile:\n"


AWAY = ApiError(0, "Unreachable", "connection refused")


@pytest.mark.parametrize(
    ("results", "printed"),
    [
        pytest.param(["a", AWAY, AWAY, "b"], "a\n\nb\n", id="an API server that restarts"),
        pytest.param(["a", *[AWAY] * 9, "b"], "a\n\nb\n", id="nine errors in a row"),
        pytest.param(["a", *[AWAY] * 10, "b"], "a\n", id="ten errors in a row"),
        pytest.param(["a", ApiError(403, "Forbidden", "no"), "b"], "a\n", id="no right any more"),
        pytest.param([AWAY, "b"], "", id="nothing to show"),
    ],
)
def test_watch_survives_errors_of_the_api_server(
    results: list[str | ApiError], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    remaining = iter(results)

    def render() -> str:
        found = next(remaining, AWAY)
        if isinstance(found, ApiError):
            raise found
        return found

    with pytest.raises(ApiError):
        output.watch(render, seconds=0)
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("format_", ["table", "wide", "json", "yaml", "name"])
def test_no_format_prints_a_control_character(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.print_objects([{**ROWS[1], "name": f"{HOSTILE}\x9b\x07\u2028\ud800"}], COLUMNS, output=format_)
    printed = capsys.readouterr().out

    assert not any(character in printed for character in "\x1b\x9b\x07\u202e\u2028\ud800")


def test_json_and_yaml_give_the_same_rows_back(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_objects(ROWS, COLUMNS, output="json")
    as_json = json.loads(capsys.readouterr().out)
    output.print_objects(ROWS, COLUMNS, output="yaml")
    as_yaml = yaml.safe_load(capsys.readouterr().out)

    assert as_json == as_yaml == {"items": [ROWS[0], {**ROWS[1], "value": "NaN"}]}


def test_wide_adds_columns_and_name_prints_names_alone(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_objects(ROWS[:1], COLUMNS, output="wide")
    assert capsys.readouterr().out.splitlines()[0].endswith("NUMBERS")

    output.print_objects(ROWS[:1], COLUMNS, output="name")
    assert capsys.readouterr().out == "flight-delay\n"


def test_a_table_without_rows_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_objects([], COLUMNS, empty="There are no Models in namespace 'shop'.")

    assert capsys.readouterr().out == "There are no Models in namespace 'shop'.\n"


def test_lines_of_a_log_stay_lines() -> None:
    assert escape_lines("a\tb\nc\x1b[2J\r") == "a\tb\nc\\x1b[2J\\r"


def test_help_names_every_command_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    printed = capsys.readouterr().out

    assert ended.value.code == 0
    for group, commands in COMMANDS.items():
        assert f"\n{group}:\n" in printed
        assert all(f"\n  {command.name} " in printed for command in commands)


@pytest.mark.parametrize("name", [command.name for group in COMMANDS.values() for command in group])
def test_every_command_has_help_and_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])

    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: flywheel {name}")


def test_a_closed_pipe_ends_the_command_without_a_traceback() -> None:
    script = f"{sys.executable} -c 'import sys; from flywheel.cli import main; sys.exit(main())' version"
    done = subprocess.run(
        ["bash", "-c", f"( sleep 0.2; {script}; echo rc $? >&2 ) | true"],
        capture_output=True,
        text=True,
        env={**os.environ, **PATH},
        check=False,
    )

    assert done.stderr == "rc 141\n"


def test_a_character_that_the_terminal_does_not_have_is_an_escape() -> None:
    done = run(["-é"], PYTHONIOENCODING="ascii")

    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_nothing_typed_prints_the_help() -> None:
    done = run([])

    assert (done.returncode, done.stdout.splitlines()[0]) == (2, b"usage: flywheel COMMAND [OPTIONS]")


@pytest.mark.parametrize("words", [["--version"], ["version"]])
def test_python_runs_commands_as_a_module(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flywheel", *words], capture_output=True, env={**os.environ, **PATH}, check=False
    )

    assert (done.returncode, done.stdout.decode()) == (0, f"{flywheel.__version__}\n")

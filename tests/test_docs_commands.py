"""Every `flywheel` command that a page shows is one that the command line accepts, with its options."""

import shlex
from collections.abc import Iterator

import pytest

from flywheel.cli import BY_NAME, make_parser
from tests.documents import CHECKOUT, CODE, PAGES

# Where one command of a line ends.
SEPARATORS = {"|", "||", "&&", ";", ">", ">>", "<", "2>"}


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of each `flywheel` command in the shell blocks of a page."""
    for found in CODE.finditer(text):
        if found["language"] not in ("", "sh", "bash") or not found["block"]:
            continue
        for line in found["block"].replace("\\\n", " ").splitlines():
            yield from flywheel_commands(line)


def flywheel_commands(line: str) -> Iterator[list[str]]:
    """The words after `flywheel` of each such command in one line of a shell."""
    try:
        words = shlex.split(line.removeprefix("$ "), comments=True)
    except ValueError:  # output with an apostrophe, which is no command
        return
    while "flywheel" in words:
        start = words.index("flywheel")
        end = next((at for at in range(start, len(words)) if words[at] in SEPARATORS), len(words))
        if start == 0 or words[start - 1] in SEPARATORS:
            yield words[start + 1 : end]
        words = words[end:] if end > start else []


def pages() -> Iterator[tuple[str, list[str]]]:
    for path in sorted({path for glob in PAGES for path in CHECKOUT.glob(glob)}):
        for words in command_lines(path.read_text()):
            yield str(path.relative_to(CHECKOUT)), words


SHOWN = list(pages())


@pytest.mark.parametrize(
    ("page", "words"), [pytest.param(page, words, id=f"{page}: {shlex.join(words)}") for page, words in SHOWN]
)
def test_the_command_line_accepts(page: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code: int | str | None = 0
    try:
        make_parser(words).parse_args(words)
    except SystemExit as ended:  # also after --help and --version
        code = ended.code

    assert code == 0, f"{page}: {capsys.readouterr().err}"


def test_commands_are_found() -> None:
    assert len(SHOWN) > 30, "this test finds no command any more"
    assert {words[0] for _page, words in SHOWN if words} <= BY_NAME.keys() | {"--version", "--help"}


def test_a_command_is_found_within_a_line() -> None:
    assert list(flywheel_commands("$ flywheel status | head -1   # the first")) == [["status"]]
    assert list(flywheel_commands("pip install flywheel && flywheel version > v.txt")) == [["version"]]
    assert list(flywheel_commands("cd flywheel")) == []

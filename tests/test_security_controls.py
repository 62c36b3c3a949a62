"""The page on security says of each control how it is removed, and each removal leads to something that exists."""

import re

import pytest

from e2e.security.attacks import ATTACKS
from e2e.security.code_controls import CODE_CONTROLS, CodeControl
from e2e.security.patched_copy import patch
from e2e.security.removal import find_target
from e2e.security.source_controls import SOURCE_CONTROLS, SourceControl
from tests.documents import CHECKOUT

PAGE = (CHECKOUT / "docs/security.md").read_text()
ROW = re.compile(r"^\| (?P<threat>.+?) \| (?P<control>.+) \| (?P<tests>`(?:tests|e2e)/.+?) \|$", re.MULTILINE)
THREATS = PAGE.partition("## Threats, controls and tests")[2].partition("## Identities that need a word")[0]
NOT_REMOVED = PAGE.partition("### Controls that no script removes")[2].partition("\n## ")[0]
POLICIES = {each.control.name.removeprefix("policy ") for each in ATTACKS}
TESTS = {test for control in (*CODE_CONTROLS, *SOURCE_CONTROLS) for test in control.tests}


def is_removed(row: re.Match[str]) -> bool:
    """Whether a script removes a control of the row: a policy, the bucket's policy, code, or a piece of a source."""
    named = {f"`{policy}`" for policy in POLICIES}
    stops = any(name in row["control"] for name in named) or "an account for each namespace" in row["control"]
    return stops or any(f"`{test}`" in row["tests"] for test in TESTS)


def rows() -> list[re.Match[str]]:
    return list(ROW.finditer(THREATS))


def test_a_script_removes_a_control_of_every_row_and_what_is_not_removed_is_of_a_row() -> None:
    assert len(rows()) > 40, "this test finds no row any more"
    named = set(re.findall(r"^- (.+?): ", NOT_REMOVED, re.MULTILINE))

    assert [row["threat"] for row in rows() if not is_removed(row)] == []
    assert named <= {row["threat"] for row in rows()}


@pytest.mark.parametrize("control", CODE_CONTROLS, ids=str)
def test_every_control_of_the_code_exists_and_has_its_tests_on_the_page(control: CodeControl) -> None:
    _, _, original = find_target(control)

    assert original != control.replacement
    assert_on_the_page(control.tests)


@pytest.mark.parametrize("control", SOURCE_CONTROLS, ids=str)
def test_every_control_of_the_source_is_found_once_and_has_its_tests_on_the_page(control: SourceControl) -> None:
    patched = patch(control, (CHECKOUT / control.file).read_text())

    if control.file.endswith(".py"):
        compile(patched, control.file, "exec")
    assert_on_the_page(control.tests)


def test_a_control_whose_text_is_not_found_once_is_named() -> None:
    control = SourceControl("a bound", "a.py", "limit", "", ())

    for source in ("", "limit limit"):
        with pytest.raises(ValueError, match=r"'a bound': its text is [02] times in a\.py"):
            patch(control, source)


def assert_on_the_page(tests: tuple[str, ...]) -> None:
    for test in tests:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (CHECKOUT / path).read_text()
        assert f"`{test}`" in PAGE

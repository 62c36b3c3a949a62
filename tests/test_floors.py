"""No worker imports a module of which it runs no test, and no test is left out for that."""

import pytest

from tests.floors import may_be_selected

UNIT = "not integration and not apiserver and not exhaustive and not long_run"
INTEGRATION = "(integration or exhaustive) and not long_run"
SERVERS = "import pytest\n\npytestmark = pytest.mark.integration  # starts servers\n"
SEVERAL = "pytestmark = [\n    pytest.mark.integration,\n    pytest.mark.timeout(400),\n]\n"
SOME = "@pytest.mark.integration\ndef test_a() -> None:\n    assert True\n"


@pytest.mark.parametrize(
    ("source", "expression", "expected"),
    [
        pytest.param("", UNIT, True, id="a module without markers is of unit"),
        pytest.param("", INTEGRATION, False, id="and of nothing else"),
        pytest.param(SERVERS, UNIT, False, id="a marker of the module is one of all its tests"),
        pytest.param(SEVERAL, UNIT, False, id="in a list, too"),
        pytest.param(SERVERS, INTEGRATION, True, id="which its own floor runs"),
        pytest.param(SOME, UNIT, True, id="beside a marked test there may be others"),
        pytest.param(SOME, INTEGRATION, True, id="and the marked one is of its floor"),
        pytest.param(SERVERS + SOME.replace("integration", "long_run"), INTEGRATION, True, id="one test less"),
        pytest.param(SERVERS, "apiserver", False, id="another floor"),
        pytest.param("", "hypothesis", True, id="a marker that a plugin may add"),
    ],
)
def test_may_be_selected(source: str, expression: str, expected: bool) -> None:
    assert may_be_selected(source, expression) == expected

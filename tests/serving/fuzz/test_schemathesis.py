"""Schemathesis with the server's own description: allowed and forbidden requests get the described responses."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Err, Ok

# JSON Schema cannot express that there are as many values as the shape says, so most allowed requests get a 400.
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.serving.local_server import LocalServer

# Each needs a model server, a process of its own; seconds on an idle machine, minutes on a busy one.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


def operations(server: LocalServer) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"http://{server.http}/openapi.json")
    found = list(schema.get_all_operations())
    assert not [each for each in found if isinstance(each, Err)]
    return [each.ok() for each in found if isinstance(each, Ok)]


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: str(mode.value))
@pytest.mark.parametrize(("name", "examples"), [("flight_server", 25), ("echo_server", 10)])
def test_every_response_fits_the_description(
    request: pytest.FixtureRequest, name: str, examples: int, mode: GenerationMode
) -> None:
    server: LocalServer = request.getfixturevalue(name)
    for operation in operations(server):
        if mode is GenerationMode.NEGATIVE and operation.method.upper() == "GET":
            continue  # it has no parameters that could be invalid
        check(server, operation, mode, examples if operation.method.upper() == "POST" else 2)
    assert server.process.poll() is None


def check(server: LocalServer, operation: Any, mode: GenerationMode, examples: int) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    def fits_description(case: Case[Any]) -> None:
        case.call_and_validate(base_url=f"http://{server.http}", excluded_checks=[positive_data_acceptance])

    fits_description()

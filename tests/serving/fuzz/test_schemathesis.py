"""Schemathesis on the server's own description: what it allows, and what it forbids, is answered as it says."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Err, Ok

# JSON Schema cannot say that the values are as many as the shape says, so most of what it allows is refused with a 400.
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
def test_every_operation_keeps_to_its_description(
    request: pytest.FixtureRequest, name: str, examples: int, mode: GenerationMode
) -> None:
    server: LocalServer = request.getfixturevalue(name)
    for operation in operations(server):
        if mode is GenerationMode.NEGATIVE and operation.method.upper() == "GET":
            continue  # it takes nothing that could be wrong
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
    def keeps_to_it(case: Case[Any]) -> None:
        case.call_and_validate(base_url=f"http://{server.http}", excluded_checks=[positive_data_acceptance])

    keeps_to_it()

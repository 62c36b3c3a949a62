"""What users read about a refused request: one sentence for the command and the client."""

import pytest

from flywheel.client.session import api_error
from flywheel.cluster.errors import ApiError


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ApiError(0, "Unreachable", "refused"), "the API server gave no response (refused); see whether 'kubectl version' works"),
        (ApiError(403, "Forbidden", "no right"), "the API server does not let you: no right"),
        (ApiError(422, "Invalid", "bad field"), "the API server refused: bad field"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence_for_the_command_and_the_client(error: ApiError, sentence: str) -> None:
    assert error.describe() == sentence
    assert api_error(error).message == sentence

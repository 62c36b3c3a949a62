"""What users write reaches a container as it was written."""

import re

import pytest

from flywheel.core.pods.pod_spec import literal_env

SECRET = {"AWS_SECRET_ACCESS_KEY": "hunter2"}


def expanded(value: str) -> str:
    """As the kubelet does it (k8s.io/kubernetes/third_party/forked/golang/expansion: `$$` is `$`, `$(NAME)` is its value)."""
    return re.sub(
        r"\$\$|\$\(([^)]*)\)", lambda found: "$" if found[0] == "$$" else SECRET.get(found[1], found[0]), value
    )


@pytest.mark.parametrize(
    "words", ["plain", "", "$(AWS_SECRET_ACCESS_KEY)", "$$(AWS_SECRET_ACCESS_KEY)", "5$", "$x $$ $("]
)
def test_no_word_of_a_user_is_filled_in(words: str) -> None:
    (variable,) = literal_env({"FLYWHEEL_PARAMS": words})

    assert expanded(variable.get("value", "")) == words

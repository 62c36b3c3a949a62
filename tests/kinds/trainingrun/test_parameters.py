"""The parameters of a run: typed values of what the user gave as text."""

import pytest

from flywheel.kinds.trainingpipeline.schema.inputs import Parameter, ParameterType
from flywheel.kinds.trainingrun.parameters import InvalidInput, Value, resolve_parameters


@pytest.mark.parametrize(
    ("type_", "given", "value"),
    [
        pytest.param("Boolean", "true", True, id="true"),
        pytest.param("Boolean", "false", False, id="false"),
        pytest.param("Integer", "-3", -3, id="an integer"),
        pytest.param("Integer", 3, 3, id="an integer that is no text"),
        pytest.param("Float", "1e-4", 0.0001, id="a float"),
        pytest.param("String", "true", "true", id="a text that looks like a Boolean"),
        pytest.param("String", 3, "3", id="a number as text"),
    ],
)
def test_a_value_has_the_declared_type(type_: ParameterType, given: int | str, value: Value) -> None:
    found = resolve_parameters((Parameter(name="p", type=type_),), {"p": given})["p"]

    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        pytest.param("Boolean", "maybe", id="a text is no Boolean, not even false"),
        pytest.param("Boolean", "True", id="Booleans are written in lower case"),
        pytest.param("Boolean", 0, id="a number is no Boolean"),
        pytest.param("Integer", "1.5", id="a float is no integer"),
        pytest.param("Float", "much", id="a text is no float"),
    ],
)
def test_another_type_is_refused(type_: ParameterType, given: int | str) -> None:
    with pytest.raises(InvalidInput, match=f"is no {type_}"):
        resolve_parameters((Parameter(name="p", type=type_),), {"p": given})

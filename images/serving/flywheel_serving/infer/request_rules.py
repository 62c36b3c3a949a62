"""What a request may say in the protocol, whichever transport brings it: both decode by these rules.

Errors are ValueError with the finding where the caller knows the tensor's name, else InvalidRequest.
"""

from collections.abc import Mapping
from typing import Any

from flywheel_serving.errors import InvalidRequest
from flywheel_serving.model.datatypes import DTYPES, Array

MAX_RANK = 32
# Extensions of other servers that would change the response's meaning if they were ignored.
UNSUPPORTED_OF_OUTPUTS = ("classification", "class_count", "shared_memory_region")
# Of a stateful model or another scheduler, whose responses would be wrong if they were ignored.
UNSUPPORTED_OF_INPUTS = ("shared_memory_region",)

Parameters = Mapping[str, Any]


def check_datatype(found: Any) -> str:
    """The datatype. Raises ValueError unless it is one of the protocol's."""
    if type(found) is str and found in DTYPES:
        return found
    raise ValueError(f"datatype: wanted one of {', '.join(DTYPES)}, found {str(found)[:60]!r}")


def check_shape(shape: Any) -> list[int]:
    """The shape. Raises ValueError unless it is a list of at most 32 lengths."""
    if type(shape) is list and len(shape) <= MAX_RANK:
        for axis in shape:
            if type(axis) is not int or not 0 <= axis < 2**31:
                break
        else:
            return shape
    raise ValueError("shape: wanted a list of at most 32 whole numbers of 0 or more")


def add_input(inputs: dict[str, Array], index: int, name: str, array: Array) -> None:
    """Adds a tensor. Raises InvalidRequest if its name occurs twice."""
    if name in inputs:
        raise InvalidRequest(f"inputs[{index}].name: {name[:100]!r} is given twice")
    inputs[name] = array


def check_input_name(name: str, index: int) -> str:
    """The name of a tensor. Raises InvalidRequest if it is empty."""
    if not name:
        raise InvalidRequest(f"inputs[{index}].name: missing")
    return name


def check_input_parameters(parameters: Parameters) -> int | None:
    """`binary_data_size`, None without it. Raises ValueError for shared memory or another value."""
    for name in UNSUPPORTED_OF_INPUTS:
        if name in parameters:
            raise ValueError("shared memory is not supported; send the data in the request")
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise ValueError("binary_data_size must be a whole number of 0 or more")
    return size


def check_output_parameters(parameters: Parameters, index: int) -> bool | None:
    """`binary_data`, None without it. Raises InvalidRequest for extensions that are not supported."""
    where = f"outputs[{index}].parameters."
    for name in UNSUPPORTED_OF_OUTPUTS:
        if name in parameters:
            raise InvalidRequest(f"{where}{name}: not supported; leave it out")
    return read_boolean(parameters, "binary_data", where)


def read_boolean(parameters: Parameters, name: str, where: str = "parameters.") -> bool | None:
    """A Boolean parameter, None without it. Raises InvalidRequest for another type."""
    value = parameters.get(name)
    if value is not None and type(value) is not bool:
        raise InvalidRequest(f"{where}{name}: wanted true or false, found {str(value)[:60]!r}")
    return value


def read_timeout(parameters: Parameters | None) -> float | None:
    """`timeout` in seconds; it is in microseconds, as in Triton's schedule policy extension and from tritonclient."""
    microseconds = parameters.get("timeout") if parameters else None
    if microseconds is not None and type(microseconds) is not int:
        raise InvalidRequest(f"parameters.timeout: wanted a whole number, found {str(microseconds)[:60]!r}")
    return microseconds / 1e6 if microseconds and microseconds > 0 else None


def read_outputs(names: list[str], known: Mapping[str, Any]) -> list[str]:
    """The requested outputs, each once. Raises InvalidRequest for one that the model does not have."""
    for name in names:
        if name not in known:
            raise InvalidRequest(f"outputs: unknown {name[:100]!r}; the model has {', '.join(map(repr, known))}")
    return list(dict.fromkeys(names))

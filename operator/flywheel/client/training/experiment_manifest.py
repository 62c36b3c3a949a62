"""The Experiment of a function."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flywheel.client.errors import FlywheelError
from flywheel.client.training.function_source import FunctionSource, read_function
from flywheel.client.training.image_imports import check_imports
from flywheel.client.training.program import SPECIAL, write_program
from flywheel.client.training.search_format import format_parameters, format_search
from flywheel.core.resource import names
from flywheel.core.resource.api import EXPERIMENT

MAX_NAME_CHARACTERS = 40  # of the function's part
# What decides the result. The same of these is the same Experiment, so a cell that runs again shows what it found.
IDENTITY = ("dataset", "objective", "trainer")


@dataclass(frozen=True)
class TrainingRequest:
    """What a training is asked for.

    `data`: the Dataset. `objective`: the metric, such as "roc_auc", or ("my_loss", "Minimize") where Flywheel does not know the direction.
    `search`: parameters to search: `(low, high)` or `(low, high, "log")` is a range, of whole numbers if both are; `[…]` is a choice.
    `parameters`: fixed parameters.
    `image`: an image with python3; by default Flywheel's runtime image, with scikit-learn, NumPy, DuckDB and ONNX.
    `packages`: the modules that `image` has, where the function imports any beside Python's own.
    `trials`: their number (12); `parallelism`: how many run at a time; `resources`: of each, as in a pod.
    `register`: the Model of which the best trial becomes a version; the function writes `run.output("model") / "model.onnx"`.
    `name`: of the Experiment. By default it follows from function, data, objective and search, so the same cell shows the same Experiment.
    """

    data: str
    objective: str | tuple[str, str]
    search: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    image: str | None = None
    packages: Sequence[str] | None = None
    trials: int | None = None
    parallelism: int = 2
    resources: Mapping[str, Any] | None = None
    register: str | None = None
    name: str | None = None


def experiment_manifest(function: Callable[..., Any], request: TrainingRequest) -> dict[str, Any]:
    """Returns the Experiment, after all checks that need no cluster.

    Raises:
        FlywheelError: the function, its imports or its parameters do not fit; nothing was started.
    """
    source = read_function(function)
    check_parameters(source, request)
    check_imports(source, request.image, request.packages)
    spec = _spec(source, request)
    digest = names.digest({name: spec[name] for name in IDENTITY})[:8]
    slug = re.sub(r"[^a-z0-9]+", "-", source.name.lower()).strip("-")[:MAX_NAME_CHARACTERS].strip("-")
    name = request.name or "-".join(part for part in (slug, digest) if part)
    return EXPERIMENT.manifest(name, spec=spec)


def check_parameters(source: FunctionSource, request: TrainingRequest) -> None:
    """Checks that each parameter of the function has a value, and that no other one has.

    Raises:
        FlywheelError: one is missing, unknown, or given twice.
    """
    takes = [*source.required, *source.optional]
    for name in request.search:
        if name in request.parameters:
            raise _refusal(f"parameter '{name}' is in search= and in parameters=; give it once")
    for name in (*request.search, *request.parameters):
        if name not in takes:
            raise _refusal(
                f"function '{source.name}' has no parameter '{name}'; it has {', '.join(takes) or 'none'}. Correct the name, or add the parameter"
            )
    for name in source.required:
        if name not in (*request.search, *request.parameters, *SPECIAL):
            raise _refusal(
                f"parameter '{name}' of function '{source.name}' has no value; give it in search= or parameters=, or a default"
            )


def _spec(source: FunctionSource, request: TrainingRequest) -> dict[str, Any]:
    metric, *direction = (request.objective,) if isinstance(request.objective, str) else request.objective
    given = (*request.search, *request.parameters)
    optional = {
        "image": request.image,
        "parameters": format_parameters(request.parameters) or None,
        "search": format_search(request.search) or None,
        "model": {"path": "model.onnx"} if request.register else None,
    }
    container = {
        "source": write_program(source, given, metric),
        **{name: value for name, value in optional.items() if value is not None},
    }
    more = {
        "budget": {"maxTrials": request.trials} if request.trials is not None else None,
        "resources": dict(request.resources) if request.resources is not None else None,
        "register": request.register,
    }
    return {
        "dataset": request.data,
        "objective": {"metric": metric, **({"direction": direction[0].capitalize()} if direction else {})},
        "trainer": {"container": container},
        "parallelism": request.parallelism,
        **{name: value for name, value in more.items() if value is not None},
    }


def _refusal(message: str) -> FlywheelError:
    return FlywheelError(f"nothing was started: {message}", reason="ParameterInvalid")

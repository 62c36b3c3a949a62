"""The Experiment of a function."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Required, TypedDict

from flywheel.client.errors import FlywheelError
from flywheel.client.objects.live_dataset import LiveDataset
from flywheel.client.training.function_source import FunctionSource, read_function
from flywheel.client.training.image_imports import check_imports
from flywheel.client.training.program import SPECIAL, write_program
from flywheel.client.training.search_format import format_parameters, format_search
from flywheel.core.resource import names
from flywheel.core.resource.api import EXPERIMENT

MAX_NAME_CHARACTERS = 40  # of the function's part
# What decides the result. The same of these is the same Experiment, so a cell that runs again shows what it found.
IDENTITY = ("dataset", "objective", "trainer")


class TrainingOptions(TypedDict, total=False):
    """What a training is asked for; `flywheel.train` documents each option."""

    data: Required[str | LiveDataset]
    objective: Required[str | tuple[str, str]]
    search: Mapping[str, Any] | None
    parameters: Mapping[str, Any] | None
    image: str | None
    packages: Sequence[str] | None
    trials: int | None
    parallelism: int
    resources: Mapping[str, Any] | None
    register: str | None
    name: str | None


def experiment_manifest(function: Callable[..., Any], options: TrainingOptions) -> dict[str, Any]:
    """Returns the Experiment, after all checks that need no cluster.

    Raises:
        FlywheelError: the function, its imports or its parameters do not fit; nothing was started.
    """
    source = read_function(function)
    check_parameters(source, options)
    check_imports(source, options.get("image"), options.get("packages"))
    spec = _spec(source, options)
    digest = names.digest({name: spec[name] for name in IDENTITY})[:8]
    slug = re.sub(r"[^a-z0-9]+", "-", source.name.lower()).strip("-")[:MAX_NAME_CHARACTERS].strip("-")
    name = options.get("name") or "-".join(part for part in (slug, digest) if part)
    return EXPERIMENT.manifest(name, spec=spec)


def check_parameters(source: FunctionSource, options: TrainingOptions) -> None:
    """Checks that each parameter of the function has a value, and that no other one has.

    Raises:
        FlywheelError: one is missing, unknown, or given twice.
    """
    takes = [*source.required, *source.optional]
    searched, fixed = options.get("search") or {}, options.get("parameters") or {}
    for name in searched:
        if name in fixed:
            raise _refusal(f"parameter '{name}' is in search= and in parameters=; give it once")
    for name in (*searched, *fixed):
        if name not in takes:
            raise _refusal(
                f"function '{source.name}' has no parameter '{name}'; it has {', '.join(takes) or 'none'}. Correct the name, or add the parameter"
            )
    for name in source.required:
        if name not in (*searched, *fixed, *SPECIAL):
            raise _refusal(
                f"parameter '{name}' of function '{source.name}' has no value; give it in search= or parameters=, or a default"
            )


def _spec(source: FunctionSource, options: TrainingOptions) -> dict[str, Any]:
    objective, trials = options["objective"], options.get("trials")
    metric, *direction = (objective,) if isinstance(objective, str) else objective
    searched, fixed = options.get("search") or {}, options.get("parameters") or {}
    optional = {
        "image": options.get("image"),
        "parameters": format_parameters(fixed) or None,
        "search": format_search(searched) or None,
        "model": {"path": "model.onnx"} if options.get("register") else None,
    }
    container = {
        "source": write_program(source, (*searched, *fixed), metric),
        **{name: value for name, value in optional.items() if value is not None},
    }
    more = {
        "budget": {"maxTrials": trials} if trials is not None else None,
        "resources": options.get("resources"),
        "register": options.get("register"),
    }
    return {
        "dataset": dataset_name(options["data"]),
        "objective": {"metric": metric, **({"direction": direction[0].capitalize()} if direction else {})},
        "trainer": {"container": container},
        "parallelism": options.get("parallelism", 2),
        **{name: value for name, value in more.items() if value is not None},
    }


def dataset_name(data: str | LiveDataset) -> str:
    """Returns the name of a Dataset that is given by its name or as `fw.dataset(name)`."""
    return data if isinstance(data, str) else data.name


def _refusal(message: str) -> FlywheelError:
    return FlywheelError(f"nothing was started: {message}", reason="ParameterInvalid")

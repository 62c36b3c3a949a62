"""What a step of a pipeline is on this machine: its program, parameters, variables and inputs, and what differs from the cluster."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from flywheel.client.errors import FlywheelError
from flywheel.core.resource.schema import Variable
from flywheel.kinds.experiment.schema.distributions import Distribution
from flywheel.kinds.experiment.schema.trainer import ContainerTrainer
from flywheel.kinds.experiment.search.literals import parse_literal
from flywheel.kinds.trainingpipeline.schema.spec import TrainingPipelineSpec
from flywheel.kinds.trainingpipeline.schema.steps import Container, Step
from flywheel.kinds.trainingrun.parameters import InvalidInput, Values, resolve_parameters

PYTHON = re.compile(r"python(\d(\.\d+)?)?")
# Variables by which a pipeline would have this machine load other code, or send traffic elsewhere.
UNSAFE_VARIABLE = re.compile(
    r"PYTHON.*|(LD|DYLD|BASH|OPENSSL|SSL|SSH|PIP|UV|CONDA|XDG|FLYWHEEL)_.*|GIT_(SSH|CONFIG|EXEC|EDITOR|PAGER|ASKPASS|EXTERNAL).*"
    r"|PERL5(LIB|OPT|DB)|RUBY(OPT|LIB)|NODE_(OPTIONS|PATH)|(_JAVA|JDK_JAVA|JAVA_TOOL)_OPTIONS|GCONV_PATH|KUBECONFIG"
    r"|.*_PROXY|(REQUESTS|CURL)_CA_BUNDLE|PATH|HOME|ENV|SHELL|IFS|EDITOR|BROWSER|TMPDIR",
    re.IGNORECASE,
)
HARMLESS_VARIABLES = ("PYTHONUNBUFFERED", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "PYTHONWARNINGS")


@dataclass(frozen=True)
class LocalInput:
    """An input of a step: rows of a Dataset, or a folder of this machine."""

    name: str
    dataset: str | None = None
    version: str | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class LocalStep:
    """A step as it runs here. `program` are the arguments of Python, or `source` is the program itself, with `arguments`.

    `differences` are sentences about what is other than on the cluster. `is_own_code`: the program is a file that the user gave;
    else it is the cluster's, and gets of the user's environment only the usual variables and `secret_variables`.
    """

    name: str
    program: tuple[str, ...] = ()
    source: str | None = None
    arguments: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[LocalInput, ...] = ()
    outputs: tuple[str, ...] = ()
    differences: tuple[str, ...] = ()
    secret_variables: tuple[str, ...] = ()
    is_own_code: bool = False

    def describe(self) -> list[str]:
        """Returns lines that show what would run here."""
        program = [self.source, *self.arguments] if self.source is not None else [*self.program]
        variables = [f"{name}={value}" for name, value in sorted(self.variables.items())]
        given = [f"{name} of your environment" for name in self.secret_variables]
        return [f"python3 {' '.join(program)}", *(f"with {each}" for each in (*variables, *given))]


@dataclass(frozen=True)
class LocalFiles:
    """What the user gives: folders of inputs by name, and a file in place of the one that the image has."""

    folders: Mapping[str, Path] = field(default_factory=dict)
    code: Path | None = None


def plan_local_step(
    pipeline: TrainingPipelineSpec, name: str, given: Mapping[str, str], files: LocalFiles, today: date
) -> LocalStep:
    """Returns a step of a pipeline as it runs here. `given` are parameters of the pipeline.

    Raises:
        FlywheelError: there is no such step, its program is not Python code, or an input is not on this machine.
    """
    step = _find_step(pipeline, name)
    try:
        values = Values(resolve_parameters(pipeline.parameters, given), today)
        if step.container is not None:
            return _container_step(pipeline, step, step.container, values, files)
        trainer = step.train.trainer.container if step.train is not None else None
        if step.train is None or trainer is None:
            raise _refusal(
                f"step '{name}' runs in Flywheel's runtime image ({step.kind}); --local runs steps with Python code of yours: container, and train with trainer.container"
            )
        inputs = (_local_input(pipeline, step, "data", step.train.from_, files),)
        return _train_step(step, trainer, inputs, files)
    except InvalidInput as error:
        raise _refusal(str(error).rstrip(".")) from error


def middle_value(distribution: Distribution) -> Any:
    """Returns a value in the middle of a distribution: the middle of a range, of its logarithm where it has one, or the first choice."""
    if distribution.choice is not None:
        return parse_literal(distribution.choice[0])
    bounds = distribution.float_ or distribution.int_
    if bounds is None:
        raise ValueError("exactly one of these fields must be given")
    low, high = float(bounds.min), float(bounds.max)
    middle = math.sqrt(low * high) if bounds.log else (low + high) / 2
    return round(middle) if distribution.int_ is not None else middle


def _find_step(pipeline: TrainingPipelineSpec, name: str) -> Step:
    steps = (*pipeline.steps, *pipeline.last)
    for step in steps:
        if step.name == name:
            return step
    raise _refusal(f"the pipeline has no step '{name}'; it has {', '.join(str(step.name) for step in steps)}")


def _container_step(
    pipeline: TrainingPipelineSpec, step: Step, container: Container, values: Values, files: LocalFiles
) -> LocalStep:
    items = container.for_each.items if container.for_each is not None else ()
    parameters = {**container.parameters, **(items[0] if items else {})}
    command = [values.fill(each) for each in container.command]
    arguments = [values.fill(each) for each in container.args]
    variables, notes = _variables(container.env, values)
    secrets = _secret_variables(container.env)
    if items:
        notes.append(f"only the first of {len(items)} items runs.")
    return LocalStep(
        str(step.name),
        program=(*_python_arguments(step, command, files), *arguments),
        parameters={name: values.resolve(given) for name, given in parameters.items()},
        variables=variables,
        inputs=tuple(_local_input(pipeline, step, str(each.name), each.from_, files) for each in container.inputs),
        outputs=tuple(map(str, container.outputs)),
        differences=(f"on the cluster the image is {container.image}.", *notes),
        secret_variables=secrets,
        is_own_code=files.code is not None,
    )


def _train_step(step: Step, trainer: ContainerTrainer, inputs: tuple[LocalInput, ...], files: LocalFiles) -> LocalStep:
    searched = {name: middle_value(each) for name, each in trainer.search.items()}
    variables, notes = _variables(trainer.env, None)
    if searched:
        shown = ", ".join(
            f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}" for name, value in searched.items()
        )
        notes.append(f"one trial runs, in the middle of the search: {shown}.")
    source = trainer.source if not trainer.command and files.code is None else None
    return LocalStep(
        str(step.name),
        program=() if source is not None else (*_python_arguments(step, list(trainer.command), files), *trainer.args),
        source=source,
        arguments=tuple(trainer.args),
        parameters={**{name: parse_literal(given) for name, given in trainer.parameters.items()}, **searched},
        variables=variables,
        inputs=inputs,
        outputs=("model",) if trainer.model is not None else (),
        differences=(
            f"on the cluster the image is {trainer.image or 'the runtime image of the installation'}.",
            *notes,
        ),
        secret_variables=_secret_variables(trainer.env),
        is_own_code=files.code is not None,
    )


def _python_arguments(step: Step, command: Sequence[str], files: LocalFiles) -> tuple[str, ...]:
    """Returns what follows `python3` in a command, with a file that is on this machine."""
    if files.code is not None:
        return (str(files.code.resolve()),)
    if not command or not PYTHON.fullmatch(Path(command[0]).name):
        shown = f"runs '{command[0]}'" if command else "runs what its image starts"
        raise _refusal(f"step '{step.name}' {shown}, which is not Python here; give its program by --code FILE")
    file = next((each for each in command[1:] if not each.startswith("-")), None)
    if {"-c", "-m"} & set(command[1:]) or file is None or Path(file).is_file():
        return tuple(
            str(Path(each).resolve()) if each == file and Path(each).is_file() else each for each in command[1:]
        )
    raise _refusal(
        f"'{file}' of step '{step.name}' is in its image and not on this machine; give the file by --code FILE"
    )


def _variables(given: Sequence[Variable], values: Values | None) -> tuple[dict[str, str], list[str]]:
    """Returns the variables that have a value, and sentences about the others: the user's own environment has them, or they could run other code."""
    known = {
        each.name: values.fill(each.value) if values is not None else each.value
        for each in given
        if each.value is not None and not _is_unsafe(each.name)
    }
    unsafe = [each.name for each in given if _is_unsafe(each.name)]
    secret = ", ".join(_secret_variables(given))
    notes = [f"{secret} come from Secrets there, and from your environment here."] if secret else []
    return known, [*notes, *([f"{', '.join(unsafe)} are left out, which could run other code here."] if unsafe else [])]


def _secret_variables(given: Sequence[Variable]) -> tuple[str, ...]:
    return tuple(each.name for each in given if each.secret is not None and not _is_unsafe(each.name))


def _is_unsafe(name: str) -> bool:
    return name not in HARMLESS_VARIABLES and UNSAFE_VARIABLE.fullmatch(name) is not None


def _local_input(pipeline: TrainingPipelineSpec, step: Step, name: str, source: str, files: LocalFiles) -> LocalInput:
    if name in files.folders:
        return LocalInput(name, folder=files.folders[name])
    found = next((each for each in pipeline.inputs if each.name == source), None)
    if found is None:
        raise _refusal(
            f"input '{name}' of step '{step.name}' is the output of step '{source}', which is on the cluster; give a folder with its files by --input {name}=FOLDER"
        )
    if found.dataset is None:
        raise _refusal(
            f"input '{name}' of step '{step.name}' is an output of another pipeline's run, which is on the cluster; give a folder with its files by --input {name}=FOLDER"
        )
    return LocalInput(name, dataset=str(found.dataset), version=found.version)


def _refusal(message: str) -> FlywheelError:
    return FlywheelError(message, reason="NotLocal")

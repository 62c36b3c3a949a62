"""The flag `--explain`, and the argument of the process that explains: which requests are explained, and where."""

import argparse
from dataclasses import asdict, dataclass

import orjson

from flywheel_serving.flag_types import json_object, parsed_by


@dataclass(frozen=True)
class ExplainConfig:
    """The JSON of `--explain`. `sample` is the share of requests whose logged rows are explained; `header`: clients may ask.

    The explainer listens at `socket`, loads the folder `model`, may allocate `memory_bytes`, and ends where one request takes longer than
    `run_seconds`.
    """

    sample: float = 0.0
    header: bool = False
    socket: str = "/run/flywheel-explain/explain.sock"
    model: str = "/flywheel/inputs/model"
    memory_bytes: int = 896 * 1024 * 1024
    run_seconds: float = 30.0
    answer_seconds: float = 2.0  # that a client waits at most for an explanation beyond the prediction
    log_seconds: float = 10.0  # that a row waits at most for its explanation before it is logged

    def to_json(self) -> str:
        """The JSON that `parse_explain_config` reads."""
        return orjson.dumps(asdict(self)).decode()


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flag of explanations."""
    parser.add_argument_group("explanations").add_argument(
        "--explain",
        type=parsed_by(parse_explain_config),
        metavar="JSON",
        help="explain predictions in another process; images/README.md",
    )


def parse_explain_config(text: str) -> ExplainConfig:
    """The configuration in the JSON `text`; unknown fields are ignored. Raises ValueError with the wrong field."""
    document = json_object(text)
    known = ExplainConfig.__dataclass_fields__
    fields = {name: value for name, value in document.items() if name in known}
    for name, value in fields.items():
        wanted = type(known[name].default)
        if type(value) is not wanted and not (wanted is float and type(value) is int):
            raise ValueError(f"{name} is {value!r}, and must be of the type {wanted.__name__}")
    config = ExplainConfig(**fields)
    if not 0 <= config.sample <= 1:
        raise ValueError(f"sample is {config.sample}, and must be between 0 and 1")
    return config

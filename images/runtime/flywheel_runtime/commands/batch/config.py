"""The configuration of the batch steps, in params.json."""

from typing import Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from flywheel_runtime.contract.s3_address import S3Address

Format = Literal["CSV", "JSONL", "Parquet"]
Prediction = Literal["Class", "Probability"]


class Config(BaseModel):
    """A part of the configuration."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Place(S3Address, Config):
    """A folder or object in a store. `secret` is the name that messages give to its credentials; `foreign`: they are its own."""

    uri: str
    endpoint: str | None = None
    region: str | None = None
    foreign: bool = False
    secret: str | None = None


class VolumePath(Config):
    """A path on the volume of the input."""

    path: str


class InputConfig(Config):
    """The rows, in one of two places. `features` names, in order, the columns of a model whose only input has several."""

    s3: Place | None = None
    volume: VolumePath | None = None
    format: Format | None = None
    features: tuple[str, ...] = ()


class OutputConfig(Config):
    """Where predictions go. `prediction` None: all outputs of the model."""

    s3: Place
    format: Format
    include: tuple[str, ...] = ()
    prediction: Prediction | None = None
    overwrite: bool = False


class ModelConfig(Config):
    """The version that the server in the same pod serves."""

    name: str
    version: str
    digest: str


class BatchConfig(Config):
    """`shards` None: by the size of the input. `max_row_errors` None: any number."""

    input: InputConfig
    output: OutputConfig
    model: ModelConfig
    parallelism: int = 1
    shards: int | None = None
    max_row_errors: int | None = None

"""The configuration of the batch steps, in params.json."""

from typing import Literal

from flywheel_runtime.contract.s3_address import S3Address
from flywheel_runtime.params import Params

Format = Literal["CSV", "JSONL", "Parquet"]
Prediction = Literal["Class", "Probability"]


class Place(S3Address, Params):
    """A folder or object in a store. `secret` is the name that messages give to its credentials; `foreign`: they are its own."""

    uri: str
    endpoint: str | None = None
    region: str | None = None
    foreign: bool = False
    secret: str | None = None


class VolumePath(Params):
    """A path on the volume of the input."""

    path: str


class InputConfig(Params):
    """The rows, in one of two places. `features` names, in order, the columns of a model whose only input has several."""

    s3: Place | None = None
    volume: VolumePath | None = None
    format: Format | None = None
    features: tuple[str, ...] = ()


class OutputConfig(Params):
    """Where predictions go. `prediction` None: all outputs of the model."""

    s3: Place
    format: Format
    include: tuple[str, ...] = ()
    prediction: Prediction | None = None
    overwrite: bool = False


class ModelConfig(Params):
    """The version that the server in the same pod serves."""

    name: str
    version: str
    digest: str


class BatchConfig(Params):
    """`shards` None: by the size of the input. `max_row_errors` None: any number."""

    input: InputConfig
    output: OutputConfig
    model: ModelConfig
    parallelism: int = 1
    shards: int | None = None
    max_row_errors: int | None = None

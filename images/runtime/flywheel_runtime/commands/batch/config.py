"""What a batch step is told, in params.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flywheel_runtime.contract.errors import Failure

Format = Literal["CSV", "JSONL", "Parquet"]
Prediction = Literal["Class", "Probability"]


@dataclass(frozen=True)
class Place:
    """A folder or object in a store. `secret` is the name that messages give to its credentials; `foreign`: they are its own."""

    uri: str
    endpoint: str | None = None
    region: str | None = None
    foreign: bool = False
    secret: str | None = None

    @property
    def bucket(self) -> str:
        return self.uri.removeprefix("s3://").partition("/")[0]

    @property
    def key(self) -> str:
        return self.uri.removeprefix("s3://").partition("/")[2]


@dataclass(frozen=True)
class BatchConfig:
    """`input` is a place in a store, or a path on the volume. `shards` None: by the size of the input. `prediction` None: all outputs.

    `features` names, in order, the columns of a model whose only input has several. `results` is the folder of this plan's results.
    """

    input: Place | str
    format: Format | None
    features: tuple[str, ...]
    output: Place
    output_format: Format
    include: tuple[str, ...]
    prediction: Prediction | None
    overwrite: bool
    model: str
    version: str
    digest: str
    parallelism: int
    shards: int | None
    max_row_errors: int | None

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> "BatchConfig":
        """Failure InternalError where the operator and this image do not speak the same language."""
        try:
            source, output, model = body["input"], body["output"], body["model"]
            return cls(
                input=Place(**source["s3"]) if "s3" in source else str(source["volume"]["path"]),
                format=source.get("format"),
                features=tuple(source.get("features") or ()),
                output=Place(**output["s3"]),
                output_format=output["format"],
                include=tuple(output.get("include") or ()),
                prediction=output.get("prediction"),
                overwrite=bool(output.get("overwrite")),
                model=model["name"],
                version=model["version"],
                digest=model["digest"],
                parallelism=int(body.get("parallelism", 1)),
                shards=body.get("shards"),
                max_row_errors=body.get("maxRowErrors"),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Failure("InternalError", f"params.json cannot be read: {error!r}") from error

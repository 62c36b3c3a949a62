"""The configuration of the batch steps, in params.json."""

from typing import Literal

from flywheel_runtime.contract.config.fetch import S3Source, VolumeSource
from flywheel_runtime.datasets.formats import TableForm
from flywheel_runtime.datasets.formats.dialect import CsvOptions
from flywheel_runtime.features.feature_sets.feature_inputs import FeatureSetInput
from flywheel_runtime.params import Params

Format = Literal["CSV", "JSONL", "Parquet"]
Prediction = Literal["Class", "Probability"]


class InputConfig(Params):
    """The rows, in one of two places. `features` names, in order, the columns of a model whose only input has several."""

    s3: S3Source | None = None
    volume: VolumeSource | None = None
    format: Format | None = None
    features: tuple[str, ...] = ()
    csv: CsvOptions = CsvOptions()
    ignore: tuple[str, ...] = ()

    @property
    def form(self) -> TableForm:
        """What the reader of tables is told of the files."""
        return TableForm(self.format, self.csv, frozenset(self.ignore))


class OutputConfig(Params):
    """Where predictions go. `prediction` None: all outputs of the model."""

    s3: S3Source
    format: Format
    include: tuple[str, ...] = ()
    prediction: Prediction | None = None
    overwrite: bool = False


class ModelConfig(Params):
    """The version that the server in the same pod serves."""

    name: str
    version: str
    digest: str


class DatasetVersion(Params):
    """A version of a Dataset by the digest of its artifact."""

    name: str
    version: str
    digest: str


class FeatureSetConfig(FeatureSetInput):
    """A FeatureSet whose features are looked up, and the versions of the Datasets in `tables`."""

    datasets: tuple[DatasetVersion, ...]


class BatchConfig(Params):
    """`shards` None: by the size of the input. `max_row_errors` None: any number. `feature_sets`: those that are looked up."""

    input: InputConfig
    output: OutputConfig
    model: ModelConfig
    parallelism: int = 1
    shards: int | None = None
    max_row_errors: int | None = None
    feature_sets: tuple[FeatureSetConfig, ...] = ()

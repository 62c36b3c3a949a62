"""Artifacts as the trial store has them, and the rows of a table as a model takes them."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy
import pandas

from e2e import kube
from e2e.namespace import Namespace
from flywheel_runtime.store.artifacts import Store
from flywheel_runtime.store.retry import Retry

NUMPY_NAMES = {"FP32": "float32", "FP64": "float64", "INT64": "int64", "BOOL": "bool"}


def bin_counts(values: "numpy.typing.ArrayLike", edges: Sequence[float]) -> dict[str, Any]:
    """Counts of numbers in bins, as baselines and count documents have them; all are between the first and the last edge."""
    bins = numpy.histogram(values, edges)[0].tolist()
    return {"missing": 0, "invalid": 0, "under": 0, "over": 0, "bins": bins}


def baseline_document(
    rows: Mapping[str, "numpy.typing.ArrayLike"], edges: Mapping[str, Sequence[float]], predictions: Mapping[str, Any]
) -> bytes:
    """baseline.json of the training rows (columns of numbers), by which servers count; `predictions` has edges and counts."""
    features = {
        name: {"type": "Float", "edges": list(each), "counts": bin_counts(rows[name], each)}
        for name, each in edges.items()
    }
    count = len(numpy.asarray(rows[next(iter(edges))]))
    return json.dumps({"v": 1, "rows": count, "features": features, "predictions": dict(predictions)}).encode()


def prediction_counts(predictions: "numpy.typing.ArrayLike", edges: Sequence[float]) -> dict[str, Any]:
    """Counts of the predictions for test rows in bins, as baseline.json has them."""
    return {"edges": list(edges), "counts": {"test": numpy.histogram(predictions, edges)[0].tolist()}}


def classifier_signature(target: str, columns: Sequence[str]) -> dict[str, Any]:
    """signature.json of a model of onnx_models.classifier."""
    return {
        "v": 1,
        "task": "Classification",
        "target": target,
        "classes": ["0", "1"],
        "inputs": [{"name": name, "datatype": "FP32", "shape": [-1, 1]} for name in columns],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 2]},
        ],
    }


def write_tested_model(folder: Path, model: bytes, baseline: bytes, metrics: Mapping[str, float]) -> None:
    """Make the folder of a version's artifact: a model with the baseline of its training, and its metrics on 5,000 test rows."""
    folder.mkdir()
    evaluation = {"digest": f"sha256:{'7' * 64}", "rows": 5_000, "metrics": dict(metrics)}
    (folder / "model.onnx").write_bytes(model)
    (folder / "baseline.json").write_bytes(baseline)
    (folder / "evaluation.json").write_text(json.dumps({"v": 1, "test": evaluation}))


def store_artifact(namespace: Namespace, folder: Path) -> str:
    """Store the files of a folder as an artifact of the namespace, and return its digest."""
    store = Store.from_env(kube.store_environment(), namespace.name, Retry())
    files = [path for path in folder.rglob("*") if path.is_file()]
    return str(store.put((path.relative_to(folder).as_posix(), path) for path in files).digest)


def read_artifact(namespace: Namespace, digest: str) -> dict[str, bytes]:
    """The files of an artifact (`sha256:…`), by their path in it."""
    manifest = json.loads(read_object(namespace, f"manifests/sha256/{digest.removeprefix('sha256:')}.json"))
    return {
        each["path"]: read_object(namespace, f"blobs/sha256/{each['sha256'][:2]}/{each['sha256']}")
        for each in manifest["files"]
    }


def read_object(namespace: Namespace, key: str) -> bytes:
    """The bytes of an object in the namespace's folder."""
    found: bytes = kube.store().get_object(Bucket=kube.bucket(), Key=f"{namespace.name}/{key}")["Body"].read()
    return found


def read_parquet(content: bytes) -> pandas.DataFrame:
    """The table of a Parquet file."""
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(content)
        file.flush()
        return duckdb.read_parquet(file.name).df()


def input_tensor(values: "pandas.Series[Any]", datatype: str) -> "numpy.ndarray[Any, Any]":
    """One column (rows, 1) as the tensor of an input: a missing text is empty, a missing number is not a number."""
    if datatype == "BYTES":
        texts = ["" if pandas.isna(each) else str(each) for each in values]
        return numpy.array(texts, object).reshape(-1, 1)
    numbers = numpy.asarray(values.to_numpy(numpy.float64, na_value=numpy.nan))
    return numbers.astype(NUMPY_NAMES[datatype]).reshape(-1, 1)

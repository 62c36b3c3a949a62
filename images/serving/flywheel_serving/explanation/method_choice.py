"""Which method explains a version: an exact one where its files say how, else kept rows.

explanation.json and covers?      PathDependentTreeSHAP, LinearSHAP
trees that read the input itself? InterventionalTreeSHAP on kept rows
any other model of rows           KernelSHAP on kept rows
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel_serving.errors import ModelRefused
from flywheel_serving.explanation.background.kernel_explainer import KernelExplainer
from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.explained_rows import Array, RowExplainer
from flywheel_serving.explanation.explainer import FILE, Explainer
from flywheel_serving.model.golden_rows import parse_golden_rows
from flywheel_serving.model.graph import add_class_names, read_graph
from flywheel_serving.model.onnx_model import OnnxModel
from flywheel_serving.model.signature import Signature

MIN_BACKGROUND_ROWS, MAX_BACKGROUND_ROWS = 10, 100
BROKEN = frozenset({"DocumentInvalid", "ColumnsDiffer"})  # a file that is damaged, and no family of models
TRIED_ROWS = 4  # that must be explained before a method is used

log = logging.getLogger(__name__)


def load_explainer(folder: Path) -> RowExplainer:
    """The explainer of the version in `folder`. Raises NotExplained where no method fits, or ModelRefused for a file that is no model."""
    path = folder / "model.onnx"
    model = OnnxModel(path, threads=1, is_checked=True)
    signature = add_class_names(model.signature, read_graph(path)[1])
    model.signature = signature
    golden = _read_rows(folder / "golden.json", None, signature)
    try:
        explainer: RowExplainer = Explainer(path)
        _try(explainer, golden)
    except NotExplained as error:
        if error.reason in BROKEN:
            raise
        log.info("no exact method: %s: %s", error.reason, error)
        return _load_with_background(path, model, golden)
    return explainer


def _load_with_background(path: Path, model: OnnxModel, golden: Mapping[str, Array] | None) -> RowExplainer:
    background = _read_rows(path.parent / FILE, "background", model.signature) or golden
    rows = len(next(iter(background.values()))) if background else 0
    if background is None or rows < MIN_BACKGROUND_ROWS:
        message = (
            f"the version keeps {rows} rows, and its method needs {MIN_BACKGROUND_ROWS}: train it again, or register it with a "
            "golden.json of at least as many typical rows"
        )
        raise NotExplained("BackgroundMissing", message)
    background = {name: array[:MAX_BACKGROUND_ROWS] for name, array in background.items()}
    try:
        explainer: RowExplainer = Explainer(path, background)
        _try(explainer, background)
    except NotExplained as error:
        log.info("no method of trees: %s: %s", error.reason, error)
        explainer = KernelExplainer(model, background)
        _try(explainer, background)
    return explainer


def _try(explainer: RowExplainer, rows: Mapping[str, Array] | None) -> None:
    if rows:
        explainer.explain_rows({name: array[:TRIED_ROWS] for name, array in rows.items()})


def _read_rows(path: Path, key: str | None, signature: Signature) -> Mapping[str, Array] | None:
    """The inputs in a document like golden.json, or below its `key`; None where there are none, or the model has no rows."""
    if not path.is_file() or not signature.batched:
        return None
    try:
        document: Any = json.loads(path.read_bytes())
        given = document.get(key) if key else document
        if not given:
            return None
        return parse_golden_rows({"inputs": given["inputs"]}, signature, path.name).inputs
    except (ValueError, AttributeError, TypeError, KeyError, ModelRefused) as error:
        log.warning("the kept rows of %s cannot be read: %s", path.name, error)
        return None

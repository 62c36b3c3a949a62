"""The server parses a model's file once, and lets go of the graph before the runtime loads the model."""

import weakref
from pathlib import Path
from typing import Any

import pytest

from flywheel_serving.infer.config import InferConfig, Limits
from flywheel_serving.infer.dataplane import DataPlane
from flywheel_serving.metrics.server_metrics import ServerMetrics
from flywheel_serving.model import graph as model_graph
from flywheel_serving.model import onnx_file, onnx_model


class Graph:
    """A parsed model that can be observed: onnx_proto's own messages take no weak references."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


def test_a_model_is_parsed_once_and_its_graph_is_gone_before_it_is_loaded(
    lookup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs: list[weakref.ref[Graph]] = []
    alive: list[bool] = []
    read_model, session = onnx_file.read_model, onnx_model._session

    def read(path: Path) -> Graph:
        graph = Graph(read_model(path))
        graphs.append(weakref.ref(graph))
        return graph

    def load(*arguments: Any) -> Any:
        alive.extend(graph() is not None for graph in graphs)
        return session(*arguments)

    monkeypatch.setattr(model_graph, "read_model", read)
    monkeypatch.setattr(onnx_file, "read_model", read)
    monkeypatch.setattr(onnx_model, "_session", load)

    DataPlane(InferConfig(lookup, "lookup", "1", limits=Limits()), ServerMetrics("lookup", "1")).close()

    assert alive == [False]

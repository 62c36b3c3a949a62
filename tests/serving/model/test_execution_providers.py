"""The model runs on a GPU if onnxruntime supports it and the node has one. No GPU is needed: onnxruntime is replaced."""

from pathlib import Path

import onnxruntime
import pytest

from flywheel_serving.model import onnx_model
from flywheel_serving.model.onnx_model import CPU_PROVIDER, CUDA_PROVIDER, OnnxModel


@pytest.mark.parametrize(
    ("can", "lent", "wanted"),
    [
        pytest.param([CUDA_PROVIDER, CPU_PROVIDER], True, [CUDA_PROVIDER, CPU_PROVIDER], id="both"),
        pytest.param([CUDA_PROVIDER, CPU_PROVIDER], False, [CPU_PROVIDER], id="no GPU on the node"),
        pytest.param([CPU_PROVIDER], True, [CPU_PROVIDER], id="an image that cannot use it"),
    ],
)
def test_a_gpu_is_used_where_image_and_node_have_it(
    monkeypatch: pytest.MonkeyPatch, lookup: Path, tmp_path: Path, can: list[str], lent: bool, wanted: list[str]
) -> None:
    asked: list[list[str]] = []
    real = onnxruntime.InferenceSession

    def session(path: str, options: object, providers: list[str]) -> object:
        asked.append(providers)
        return real(path, options, providers=[CPU_PROVIDER])

    device = tmp_path / "nvidiactl"
    if lent:
        device.touch()
    monkeypatch.setattr(onnx_model, "GPU_DEVICE", device)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: can)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)

    loaded = OnnxModel(lookup / "model.onnx", 1)

    assert asked == [wanted]
    assert loaded.providers == [CPU_PROVIDER]

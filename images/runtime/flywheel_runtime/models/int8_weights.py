"""Dynamic int8 quantisation by onnxruntime: weights of matrix products become int8, activations are quantised as they come."""

import tempfile
from pathlib import Path

from flywheel_runtime.contract.errors import Failure


def quantize_weights(model: bytes) -> tuple[bytes, int]:
    """The quantised model, and how many weights are int8 now: 0 where there is nothing to quantise, as in a tree. Raises Failure.

    `reduce_range`: with all 8 bits, processors without VNNI overflow in u8 by s8 sums, and give other outputs than those with it
    (onnxruntime's documentation, "Quantize ONNX Models", on AVX2 and AVX512). With 7 bits all processors give the same.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        source.write_bytes(model)
        try:
            quantize_dynamic(source, target, weight_type=QuantType.QInt8, reduce_range=True)
        except Exception as error:  # the quantiser, onnx and protobuf raise many kinds
            sentence = " ".join(str(error).split())[:400]
            message = f"the model cannot be quantised ({type(error).__name__}: {sentence}); remove spec.quantize, or export it with another opset"
            raise Failure("QuantizationFailed", message) from error
        content = target.read_bytes()
    return content, _count_int8_weights(content)


def _count_int8_weights(model: bytes) -> int:
    import onnx

    graph = onnx.load_from_string(model).graph
    return sum(each.name.endswith("_quantized") for each in graph.initializer)

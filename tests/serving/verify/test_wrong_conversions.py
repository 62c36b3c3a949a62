"""Golden rows of the framework tell a right conversion from one that is wrong without a warning (docs/models.md)."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from flywheel_serving.errors import ModelRefused
from flywheel_serving.verify.verification import verify

SERVING = Path(__file__).parent.parent
WRONG, RIGHT = SERVING / "wrong_conversions", SERVING / "converted_models"
TOLERANCE = 1e-4


def verify_with(root: Path, model: Path, golden: dict[str, Any]) -> dict[str, Any]:
    """The fact `golden` of a brought model whose spec.example has these rows."""
    folder = root / "inputs" / "model"
    folder.mkdir(parents=True)
    shutil.copyfile(model, folder / "model.onnx")
    params = {"format": "ONNX", "brought": True, "example": {"inline": json.dumps(golden)}}
    (root / "params.json").write_text(json.dumps(params))
    verify(root)
    found: dict[str, Any] = json.loads((root / "outputs" / "facts.json").read_bytes())["golden"]
    return found


@pytest.mark.parametrize("name", sorted(path.stem for path in WRONG.glob("*.onnx")))
def test_a_wrong_conversion_is_refused_by_the_rows_of_its_framework(tmp_path: Path, name: str) -> None:
    golden = json.loads((WRONG / f"{name}.json").read_bytes())
    [output] = golden["outputs"]

    with pytest.raises(ModelRefused, match="its converter changed it") as refused:
        verify_with(tmp_path, WRONG / f"{name}.onnx", golden)

    assert refused.value.reason == "GoldenMismatch"
    found = re.search(r"output '(\w+)' of the golden rows differs by ([\d.e+-]+), the tolerance", str(refused.value))
    assert found is not None
    assert (found[1], float(found[2]) > 100 * TOLERANCE) == (output, True)


@pytest.mark.parametrize("name", sorted(path.stem for path in WRONG.glob("*.onnx")))
def test_without_rows_of_the_framework_nothing_is_found(tmp_path: Path, name: str) -> None:
    golden = json.loads((WRONG / f"{name}.json").read_bytes())

    assert verify_with(tmp_path, WRONG / f"{name}.onnx", {"inputs": golden["inputs"]})["maxDifference"] == 0


@pytest.mark.parametrize("name", sorted(path.stem for path in RIGHT.glob("*.onnx") if "zipmap" not in path.stem))
def test_a_right_conversion_passes_with_the_rows_of_its_framework(tmp_path: Path, name: str) -> None:
    expected = json.loads((RIGHT / f"{name}.json").read_bytes())
    graph = onnx.load(RIGHT / f"{name}.onnx").graph
    values = expected.get("probabilities") or [[value] for value in expected["predict"]]
    golden = {"inputs": {graph.input[0].name: expected["rows"]}, "outputs": {graph.output[-1].name: values}}

    assert verify_with(tmp_path, RIGHT / f"{name}.onnx", golden)["maxDifference"] <= TOLERANCE

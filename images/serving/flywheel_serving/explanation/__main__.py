"""`python3 -I -m flywheel_serving.explanation --model DIR`: the contributions of columns to predictions of rows, one JSON object a row."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flywheel_serving.errors import ModelRefused
from flywheel_serving.explanation.description import describe_rows
from flywheel_serving.explanation.errors import NotExplained
from flywheel_serving.explanation.method_choice import load_explainer
from flywheel_serving.model.golden_rows import parse_golden_rows
from flywheel_serving.model.onnx_model import OnnxModel

DONE, REFUSED = 0, 2  # exit codes


def main(arguments: list[str] | None = None) -> int:
    """0 with an object for each row on stdout; 2 with a reason on stderr where there is none."""
    parser = ArgumentParser(
        prog="flywheel_serving.explanation", description="Explain predictions of a model's artifact."
    )
    parser.add_argument("--model", type=Path, required=True, help="the folder with model.onnx and explanation.json")
    parser.add_argument("--rows", type=Path, help="a file with rows in the form of golden.json (default: that file)")
    options = parser.parse_args(arguments)
    try:
        for line in _explain(options.model, options.rows or options.model / "golden.json"):
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    except (NotExplained, ModelRefused) as error:
        sys.stderr.write(f"{error.reason}: {error}\n")
        return REFUSED
    return DONE


def _explain(folder: Path, rows: Path) -> Iterator[dict[str, Any]]:
    try:
        document = json.loads(rows.read_bytes())
    except (OSError, ValueError) as error:
        raise NotExplained("RowsInvalid", f"'{rows}' cannot be read ({type(error).__name__}); give --rows") from error
    explainer = load_explainer(folder)
    signature = OnnxModel(folder / "model.onnx", is_checked=True).signature
    given = parse_golden_rows({"inputs": document.get("inputs")}, signature, rows.name)
    described = describe_rows(explainer.explain_rows(given.inputs))
    return ({"row": number, **row} for number, row in enumerate(described))


if __name__ == "__main__":
    sys.exit(main())

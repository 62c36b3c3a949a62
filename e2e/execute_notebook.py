"""Execute a notebook and write it with its outputs: run by the Python of .venv/notebooks, with the client on PYTHONPATH.

.venv/notebooks/bin/python e2e/execute_notebook.py NOTEBOOK EXECUTED
"""

import sys
from pathlib import Path
from typing import Any

CELL_SECONDS = 600
# What differs from run to run, and says nothing.
DROPPED_METADATA = ("execution", "signature", "widgets")


def execute(notebook: Path, executed: Path) -> None:
    """Execute a notebook; an error of a cell is raised after the notebook was written."""
    import nbformat  # type: ignore[import-not-found]
    from nbclient import NotebookClient  # type: ignore[import-not-found]

    document = nbformat.read(notebook, as_version=4)
    try:
        NotebookClient(document, timeout=CELL_SECONDS, kernel_name="python3").execute()
    finally:
        join_streams(document)
        remove_paths(document, notebook.resolve().parents[1])
        nbformat.write(document, executed)


def join_streams(document: Any) -> None:
    """Join the lines of a stream, each of which is an output of its own where threads print them."""
    for cell in document["cells"]:
        joined: list[Any] = []
        for output in cell.get("outputs", ()):
            last = joined[-1] if joined else {}
            if output["output_type"] == "stream" and last.get("name") == output["name"]:
                last["text"] += output["text"]
            else:
                joined.append(output)
        if "outputs" in cell:
            cell["outputs"] = joined


def remove_paths(document: Any, checkout: Path) -> None:
    """Remove what is of this machine: paths, and the times of cells."""
    document["metadata"]["language_info"] = {"name": "python"}
    for cell in document["cells"]:
        for name in DROPPED_METADATA:
            cell["metadata"].pop(name, None)
        for output in cell.get("outputs", ()):
            for texts in (output, output.get("data", {})):
                for name, text in list(texts.items()):
                    if isinstance(text, str):
                        texts[name] = text.replace(f"{checkout}/", "").replace(str(Path.home()), "~")


if __name__ == "__main__":
    execute(Path(sys.argv[1]), Path(sys.argv[2]))

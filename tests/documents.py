"""Whatever YAML a reader may copy: the examples, the demo, and the blocks of every page."""

import re
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "operator/**/*.md",
    "images/**/*.md",
    "demo/**/*.md",
    "charts/**/*.md",
)
MANIFESTS = ("crds/examples/*.yaml", "docs/fields/*.yaml", "demo/*.yaml")
# Groups of others, which the API server of the tests does not have.
FOREIGN_GROUPS = ("kustomize.toolkit.fluxcd.io/", "argoproj.io/", "serving.kserve.io/", "kubeflow.org/")
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Any block, or a piece of code within a sentence.
CODE = re.compile(r"^```(?P<language>\w*)\n(?P<block>.*?)^```|`(?P<inline>[^`\n]+)`", re.MULTILINE | re.DOTALL)


def texts() -> Iterator[tuple[str, str]]:
    """Where it stands, and the YAML."""
    for path in (path for glob in MANIFESTS for path in sorted(CHECKOUT.glob(glob))):
        yield str(path.relative_to(CHECKOUT)), path.read_text()
    for path in (path for glob in PAGES for path in sorted(CHECKOUT.glob(glob))):
        text = path.read_text()
        for found in BLOCK.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{path.relative_to(CHECKOUT)}:{line}", found[1]


def documents() -> Iterator[tuple[str, str]]:
    """Each manifest alone, but for kinds of other projects. A block without apiVersion is a part of one, and shown for its words."""
    for where, text in texts():
        for number, document in enumerate(re.split(r"^---.*$", text, flags=re.MULTILINE), 1):
            version = re.search(r"^apiVersion: *(\S+)", document, re.MULTILINE)
            if version and not version[1].startswith(FOREIGN_GROUPS):
                yield f"{where}#{number}", document

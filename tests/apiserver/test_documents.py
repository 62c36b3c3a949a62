"""Whatever YAML a reader may copy is taken by the API server as it stands."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.apiserver.conftest import CHECKOUT, Kubectl

pytestmark = pytest.mark.apiserver

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "operator/**/*.md",
    "images/**/*.md",
    "demo/**/*.md",
    "charts/**/*.md",
)
MANIFESTS = ("crds/examples/*.yaml", "demo/*.yaml")
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


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
    """Each manifest alone. A block without apiVersion is a part of one, and shown for its words."""
    for where, text in texts():
        for number, document in enumerate(re.split(r"^---.*$", text, flags=re.MULTILINE), 1):
            if re.search(r"^apiVersion:", document, re.MULTILINE):
                yield f"{where}#{number}", document


DOCUMENTS = tuple(documents())


@pytest.mark.parametrize("document", [pytest.param(text, id=where) for where, text in DOCUMENTS])
def test_is_taken(installed: Kubectl, document: str) -> None:
    namespace = (yaml.safe_load(document)["metadata"]).get("namespace", "default")
    installed("create", "namespace", namespace)

    done = installed(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "--namespace", namespace, "-f", "-", stdin=document
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_every_kind_has_an_example() -> None:
    kinds = {path.name.partition(".")[0] for path in (CHECKOUT / "crds").glob("*.flywheel.ml.yaml")}
    examples = {
        f"{yaml.safe_load(text)['kind'].lower()}s" for where, text in DOCUMENTS if where.startswith("crds/examples/")
    }

    assert kinds <= examples


def test_the_blocks_of_a_page_are_found(tmp_path: Path) -> None:
    page = "Text\n```yaml\napiVersion: v1\n```\nmore\n```yaml\na: 1\n---\nb: 2\n```\n```sh\nls\n```\n"

    assert [found[1] for found in BLOCK.finditer(page)] == ["apiVersion: v1\n", "a: 1\n---\nb: 2\n"]

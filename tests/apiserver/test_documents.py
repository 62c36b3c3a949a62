"""Whatever YAML a reader may copy is taken by the API server as it stands."""

import pytest
import yaml

from tests.apiserver.manifests import Kubectl
from tests.documents import documents

pytestmark = pytest.mark.apiserver

DOCUMENTS = tuple(documents())
NAMESPACE = "documents"


@pytest.mark.parametrize("document", [pytest.param(text, id=where) for where, text in DOCUMENTS])
def test_is_taken(installed: Kubectl, document: str) -> None:
    installed("create", "namespace", NAMESPACE)
    given = yaml.safe_load(document)["metadata"].get("namespace")
    moved = document.replace(
        f"namespace: {given}", f"namespace: {NAMESPACE}"
    )  # other tests make namespaces of their own

    done = installed(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "--namespace", NAMESPACE, "-f", "-", stdin=moved
    )  # fmt: skip

    assert done.returncode == 0, done.stderr

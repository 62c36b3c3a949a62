"""Story: whoever can write an artifact and an InferenceService runs no code of theirs in the server, which has its token and its callers' data."""

import pytest

from e2e import kube
from e2e.artifacts import store_artifact
from e2e.namespace import Namespace
from e2e.onnx_models import linear

pytestmark = pytest.mark.long

MANIFESTS = """
apiVersion: flywheel.ml/v1alpha1
kind: Model
metadata: {name: planted}
spec: {description: "Files that would run, if anything searched for them."}
---
apiVersion: flywheel.ml/v1alpha1
kind: ModelVersion
metadata: {name: planted-1}
spec:
  model: planted
  source: {artifact: {digest: "%(digest)s"}}
---
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: planted}
spec:
  version: planted-1
  auth: {none: {}}
  logging: {}
"""
WITH_ENV = """
apiVersion: flywheel.ml/v1alpha1
kind: InferenceService
metadata: {name: planted-env}
spec:
  version: planted-1
  auth: {none: {}}
  env: [{name: %(name)s, value: "%(value)s"}]
"""
# Each leaves a file in /tmp if it ever runs.
MARKER = "open('/tmp/planted-' + __name__.split('.')[0], 'w').close()"
PLANTED = {
    **{f"{name}.py": MARKER for name in ("sitecustomize", "usercustomize", "json", "numpy", "flywheel_serving")},
    "planted.pth": f"import sys; {MARKER.replace('__name__', repr('pth'))}",
    "libplanted.so": "no library; the loader would say so",
    "sub/sitecustomize.py": MARKER,
}
FOLDER = "/flywheel/inputs/model"


@pytest.fixture(scope="module")
def planted(namespace: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    folder = tmp_path_factory.mktemp("artifact")
    (folder / "model.onnx").write_bytes(linear([2.0], bias=1.0))
    for name, content in PLANTED.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    digest = store_artifact(namespace, folder)
    namespace.apply(MANIFESTS % {"digest": digest})
    namespace.wait("fwver", "planted-1")
    namespace.wait("fwsvc", "planted")
    return namespace


def shown(namespace: Namespace, container: str, *command: str) -> str:
    return namespace.kubectl("exec", "deployment/planted", "--container", container, "--", *command)


def test_the_server_has_the_known_files_alone_and_nothing_of_the_artifact_ran(planted: Namespace) -> None:
    assert shown(planted, "server", "ls", "-A", FOLDER).split() == ["model.onnx"]
    for container in ("server", "log-sink"):
        assert "planted" not in shown(planted, container, "ls", "-A", "/tmp")
        assert shown(planted, container, "cat", "/proc/1/cmdline").split("\0")[1] == "-I"


def test_the_server_has_no_key_of_the_store_and_the_sink_has_another_user(planted: Namespace) -> None:
    assert shown(planted, "server", "id", "-u").strip() == "65532"
    assert shown(planted, "log-sink", "id", "-u").strip() == "65531"
    assert "store" not in shown(planted, "server", "ls", "/etc/flywheel").split()
    environments = "import glob; print(any(b'AWS_' in open(f, 'rb').read() for f in glob.glob('/proc/*/environ')))"
    assert shown(planted, "server", "python3", "-I", "-c", environments).strip() == "False"


@pytest.mark.parametrize(
    ("name", "value"),
    [("PYTHONPATH", FOLDER), ("LD_PRELOAD", f"{FOLDER}/libplanted.so"), ("LD_LIBRARY_PATH", FOLDER), ("ORT_LOAD_CONFIG_FROM_MODEL", "1")],
)  # fmt: skip
def test_a_variable_that_would_run_them_is_refused_with_the_next_step(
    planted: Namespace, name: str, value: str
) -> None:
    with pytest.raises(kube.KubectlFailed) as refusal:
        planted.apply(WITH_ENV % {"name": name, "value": value})

    assert f"spec.env: {name} may not be set for Flywheel's own server" in str(refusal.value)
    assert "add them to the chart's value serving.allowedEnv, or set spec.runtime.custom" in str(refusal.value)

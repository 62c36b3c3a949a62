"""Each mistake of e2e/bad_input.py, read from the real API: cause, object, next step; and what the operator mends by itself."""

import json

import pytest

from e2e import bad_input, kube
from e2e.bad_input import Case, resource, trial
from e2e.manifests import GOOD_ROWS
from e2e.namespace import Namespace
from e2e.onnx_models import linear
from e2e.waiting import wait_until

DATA = [
    "missing Secret",
    "bucket of another tenant",
    "wrong credentials",
    "missing file",
    "empty file",
    "header only",
    "ragged CSV",
    "wrong encoding",
    "100 % null target",
    "one class only",
    "duplicate keys",
    "time column unparsable",
    "2 GB file with a 1 GiB limit",
]
TRAINING = [
    "estimator not allowed",
    "parameter that scikit-learn refuses",
    "trainer that exits 1",
    "trainer that exits 2",
    "trainer that is OOM-killed",
    "trainer that hangs past its timeout",
    "trainer that writes no metrics",
    "trainer that writes NaN",
    "trainer that leaves outputs that cannot be uploaded",
    "image that does not exist",
    "node without the GPU asked for",
    "quota exceeded",
]


@pytest.fixture(scope="module")
def cases(namespace: Namespace, image: str) -> dict[str, Case]:
    """All cases, applied together, so that they take their time side by side."""
    put_two_gigabytes(f"{namespace.name}/uploads/too-large.csv")
    namespace.apply(bad_input.dataset("rows", namespace.upload("rows.csv", GOOD_ROWS)))
    found = {
        **bad_input.data_cases(namespace, kube.secret_values("flywheel-store", "flights")["AWS_ENDPOINT_URL"]),
        **bad_input.training_cases(namespace, image),
    }
    for case in found.values():
        namespace.apply(*case.more, case.manifest)
    return found


def put_two_gigabytes(key: str) -> None:
    """2 GiB of zeros, in parts; only their size matters."""
    store, bucket, part = kube.store(), kube.bucket(), bytes(64 * 1024**2)
    if any(each["Key"] == key for each in store.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])):
        return
    upload = store.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts = [
        {
            "PartNumber": n,
            "ETag": store.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=n, Body=part)["ETag"],
        }
        for n in range(1, 33)
    ]
    store.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


@pytest.mark.parametrize("name", DATA + TRAINING)
def test_the_resource_says_what_is_wrong(namespace: Namespace, cases: dict[str, Case], name: str) -> None:
    case = cases[name]

    condition = namespace.wait(case.kind, case.name, ready="False", reason=case.reason, seconds=300)

    assert all(word in condition["message"] for word in case.words), condition["message"]
    assert condition["message"].endswith((".", "'")), condition["message"]
    if case.stalled is not None:
        stalled = kube.condition(namespace.get(case.kind, case.name), "Stalled").get("status") == "True"
        assert stalled == case.stalled, condition


def test_every_case_is_tested(cases: dict[str, Case]) -> None:
    assert sorted(cases) == sorted(DATA + TRAINING)


@pytest.mark.parametrize("name", list(bad_input.REFUSED))
def test_kubectl_apply_refuses_with_a_sentence(namespace: Namespace, name: str) -> None:
    manifest, words = bad_input.REFUSED[name]

    with pytest.raises(kube.KubectlFailed) as refusal:
        namespace.kubectl("apply", "--filename", "-", stdin=json.dumps(manifest))

    assert words in str(refusal.value)


def test_immutable_field_changed(namespace: Namespace) -> None:
    version = resource(
        "ModelVersion", "fixed", {"model": "fraud", "source": {"artifact": {"digest": f"sha256:{'0' * 64}"}}}
    )
    namespace.apply(version)
    version["spec"]["model"] = "other"

    with pytest.raises(kube.KubectlFailed, match="a ModelVersion is immutable except for resources"):
        namespace.apply(version)


@pytest.fixture(scope="module")
def served(namespace: Namespace) -> str:
    """The name of an InferenceService that is Ready."""
    import hashlib

    model = linear([1.0])
    source = {"s3": {"uri": namespace.upload("fraud.onnx", model)}, "sha256": hashlib.sha256(model).hexdigest()}
    namespace.apply(
        resource("ModelVersion", "fraud-1", {"model": "fraud", "source": source}),
        resource("InferenceService", "fraud", {"version": "fraud-1", "auth": {"none": {}}}),
    )
    namespace.wait("fwsvc", "fraud")
    return "fraud"


def test_a_child_edited_by_hand_is_put_right(namespace: Namespace, served: str) -> None:
    def selects() -> bool | None:
        selector = (namespace.get("service", served) or {})["spec"]["selector"]
        return "flywheel.ml/uid" in selector or None

    namespace.kubectl(
        "patch",
        "service",
        served,
        "--type",
        "json",
        "--patch",
        '[{"op":"remove","path":"/spec/selector/flywheel.ml~1uid"}]',
    )
    assert wait_until(selects, 30, lambda: json.dumps(namespace.get("service", served)))


def test_a_child_deleted_by_hand_comes_back(namespace: Namespace, served: str) -> None:
    before = (namespace.get("deployment", served) or {})["metadata"]["uid"]
    namespace.kubectl("delete", "deployment", served)

    def back() -> bool | None:
        now = namespace.get("deployment", served)
        return True if now is not None and now["metadata"]["uid"] != before else None

    assert wait_until(back, 30, "the Deployment did not come back")
    namespace.wait("fwsvc", served)


def test_two_resources_claiming_one_child_name(namespace: Namespace, served: str) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "taken"},
        "spec": {"selector": {"app": "mine"}, "ports": [{"port": 80, "protocol": "TCP"}]},
    }
    namespace.apply(service, resource("InferenceService", "taken", {"version": "fraud-1", "auth": {"none": {}}}))

    condition = namespace.wait("fwsvc", "taken", ready="False", reason="NameTaken")
    assert "Service 'taken'" in condition["message"]
    assert (namespace.get("service", "taken") or {})["spec"]["selector"] == {"app": "mine"}

    namespace.kubectl("delete", "service", "taken")
    namespace.wait("fwsvc", "taken", seconds=180)


def test_a_resource_deleted_while_its_jobs_run(namespace: Namespace, image: str, cases: dict[str, Case]) -> None:
    namespace.wait("fwds", "rows")
    namespace.apply(trial("goes", image, "import time; time.sleep(300)"))
    wait_until(lambda: kube.list_objects("pods", namespace.name, "flywheel.ml/name=goes"), 60, "no pod of the trial")

    namespace.kubectl("delete", "fwexp", "goes")

    wait_until(
        lambda: not kube.list_objects("jobs,pods", namespace.name, "flywheel.ml/name=goes"),
        150,
        "its Job and pod stay",
    )


def test_the_store_goes_down_in_the_middle_of_an_upload(
    namespace: Namespace, image: str, cases: dict[str, Case]
) -> None:
    namespace.wait("fwds", "rows")
    big = "import os, pathlib; out = pathlib.Path('/flywheel/outputs'); (out / 'model').mkdir(); (out / 'model/model.onnx').write_bytes(os.urandom(400_000_000)); (out / 'metrics.json').write_text('{\"loss\": 1}')"
    namespace.apply(trial("outage", image, big))

    def main_is_done() -> bool | None:
        for pod in kube.list_objects("pods", namespace.name, "flywheel.ml/name=outage"):
            if any("terminated" in each["state"] for each in pod["status"].get("containerStatuses", [])):
                return True
        return None

    wait_until(main_is_done, 120, "main did not end", max_pause=0.1)
    kube.kubectl(
        "delete",
        "pods",
        "--namespace",
        "flywheel-system",
        "--selector",
        "app.kubernetes.io/name=flywheel-store",
        "--grace-period=0",
        "--force",
    )

    namespace.wait("fwexp", "outage", seconds=240)

"""Everything a user, a file or the world can do wrong: the manifests, and what the resource must say.

All of them are applied together; each case is then read by a test of its own (test_bad_input.py).
"""

from dataclasses import dataclass, field
from typing import Any

from e2e.namespace import Namespace


@dataclass(frozen=True)
class Case:
    """`reason` and `words` (parts of the message) of the condition Ready of `kind`/`name`; `stalled` as kstatus would see it."""

    kind: str
    reason: str
    words: tuple[str, ...]
    manifest: dict[str, Any]
    stalled: bool | None = None
    more: tuple[dict[str, Any], ...] = field(default=())

    @property
    def name(self) -> str:
        """The resource's name."""
        return str(self.manifest["metadata"]["name"])


def resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A resource of ours."""
    return {"apiVersion": "flywheel.ml/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def dataset(name: str, uri: str, **spec: Any) -> dict[str, Any]:
    """A Dataset over one object of the store."""
    return resource("Dataset", name, {"source": {"s3": {"uri": uri}}, "target": "late", **spec})


def slow_trainer(seconds: float) -> str:
    """A line of Python that takes so long, and leaves a model and its loss."""
    return (
        f"import pathlib, time; time.sleep({seconds}); out = pathlib.Path('/flywheel/outputs'); (out / 'model').mkdir(exist_ok=True); "
        "(out / 'model/model.onnx').write_bytes(b'x'); (out / 'metrics.json').write_text('{\"loss\": 1}')"
    )


def trial(name: str, image: str, program: str, **spec: Any) -> dict[str, Any]:
    """An Experiment whose only trial runs a line of Python."""
    container = {"image": image, "command": ["python3", "-c", program], "model": {"path": "model.onnx"}}
    body = {
        "dataset": "rows",
        "objective": {"metric": "loss"},
        "trainer": {"container": container},
        "budget": {"maxTrials": 1, "maxFailedTrials": 1},
    }
    return resource("Experiment", name, {**body, **spec})


def data_cases(namespace: Namespace, endpoint: str) -> dict[str, Case]:
    """Sources that are not there, and files that are not what they should be."""

    def file(name: str, content: bytes | str, reason: str, *words: str, **spec: Any) -> Case:
        body = content if isinstance(content, bytes) else content.encode()
        return Case("fwds", reason, words, dataset(name, namespace.upload(f"{name}.csv", body), **spec), stalled=True)

    foreign = {"uri": "s3://flywheel/x.csv", "endpoint": endpoint}
    wrong = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "wrong"},
        "stringData": {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing"},
    }
    bucket = namespace.upload("unused", b"x").split("/")[2]
    rows = [f"{number},{number % 2},2013-01-{number % 28 + 1:02d}" for number in range(200)]
    table = "a,late,day\n" + "\n".join(rows) + "\n"
    return {
        "missing Secret": Case(
            "fwds",
            "SecretNotFound",
            ("Secret 's3-read'", namespace.name, "create it"),
            resource("Dataset", "missing-secret", {"source": {"s3": {**foreign, "secretName": "s3-read"}}}),
            stalled=False,
        ),
        "bucket of another tenant": Case(
            "fwds",
            "SourceNotAllowed",
            ("s3://no-such-bucket/x.csv", f"{bucket}/{namespace.name}/"),
            dataset("another-bucket", "s3://no-such-bucket/x.csv"),
            stalled=True,
        ),
        "wrong credentials": Case(
            "fwds",
            "CredentialsRefused",
            ("refuses",),
            resource("Dataset", "wrong-credentials", {"source": {"s3": {**foreign, "secretName": "wrong"}}}),
            more=(wrong,),
        ),
        "missing file": Case(
            "fwds",
            "SourceMissing",
            ("nowhere.csv",),
            dataset("missing-file", f"s3://{bucket}/{namespace.name}/nowhere.csv"),
        ),
        "empty file": Case(
            "fwds", "EmptySource", ("empty",), dataset("empty-file", namespace.upload("empty-file.csv", b""))
        ),
        "header only": file("header-only", "a,late\n", "NoRows", "header"),
        "ragged CSV": file("ragged-csv", "a,late\n1,0\n2,1\n3,1,9\n" + "4,0\n" * 50, "RaggedCSV", "Line 4"),
        "wrong encoding": file(
            "wrong-encoding", ("a,late\n" + "Zürich,1\nBern,0\n" * 20).encode("latin-1"), "NotUTF8", "UTF-8"
        ),
        "100 % null target": file("null-target", "a,late\n" + "1,\n2,\n" * 50, "TargetAllNull", "late"),
        "one class only": file(
            "one-class", "a,late\n" + "".join(f"{number},1\n" for number in range(99)), "OneClass", "late"
        ),
        "duplicate keys": file("duplicate-keys", table + "7,1,2013-01-08\n", "DuplicateKeys", "a", keys=["a"]),
        "time column unparsable": file(
            "time-unparsable",
            "a,late,day\n" + "1,0,yesterday\n2,1,soon\n" * 30,
            "TimeUnparsable",
            "day",
            eventTime="day",
        ),
        "2 GB file with a 1 GiB limit": Case(
            "fwds",
            "TooLarge",
            ("1.0 GiB",),
            dataset(
                "too-large",
                f"s3://{bucket}/{namespace.name}/uploads/too-large.csv",
                resources={"limits": {"ephemeral-storage": "1Gi"}},
            ),
        ),
    }


def training_cases(namespace: Namespace, image: str) -> dict[str, Case]:
    """Trainers that cannot, will not or should not."""
    write = "import pathlib; out = pathlib.Path('/flywheel/outputs'); (out / 'model').mkdir(exist_ok=True); (out / 'model/model.onnx').write_bytes(b'x'); "
    sklearn = {"dataset": "rows", "objective": {"metric": "roc_auc"}, "budget": {"maxTrials": 1, "maxFailedTrials": 1}}

    def estimator(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"trainer": {"sklearn": {"estimators": [{"name": name, "parameters": parameters}]}}}

    def failed(reason: str, name: str, program: str, *words: str, **spec: Any) -> Case:
        return Case("fwexp", reason, words, trial(name, image, program, **spec), stalled=True)

    return {
        "estimator not allowed": Case(
            "fwexp",
            "EstimatorNotAllowed",
            ("Ridge", "Classification"),
            resource("Experiment", "estimator", {**sklearn, **estimator("Ridge", {})}),
            stalled=True,
        ),
        "parameter that scikit-learn refuses": Case(
            "fwexp",
            "TrialsFailed",
            ("'C'",),
            resource("Experiment", "parameter", {**sklearn, **estimator("LogisticRegression", {"C": "-1.0"})}),
            stalled=True,
        ),
        "trainer that exits 1": failed(
            "TrialsFailed", "exits-1", "import sys; print('no luck today'); sys.exit(1)", "exit code 1", "no luck today"
        ),
        "trainer that exits 2": failed("ExitCode2", "exits-2", "import sys; print('never'); sys.exit(2)", "never"),
        "trainer that is OOM-killed": failed(
            "TrialsFailed",
            "oom",
            "x = bytearray(10**9); print(len(x))",
            "64Mi",
            resources={"limits": {"memory": "64Mi"}},
        ),
        "trainer that hangs past its timeout": failed(
            "TrialsFailed",
            "hangs",
            "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
            "timeout",
            trialTimeout="5s",
        ),
        "trainer that writes no metrics": failed("TrialsFailed", "no-metrics", write, "metrics.json"),
        "trainer that writes NaN": failed(
            "TrialsFailed", "writes-nan", write + "(out / 'metrics.json').write_text('{\"loss\": NaN}')", "loss", "NaN"
        ),
        "trainer that leaves outputs that cannot be uploaded": failed(
            "TrialsFailed",
            "links",
            write
            + "(out / 'model/last.onnx').symlink_to('model.onnx'); (out / 'metrics.json').write_text('{\"loss\": 1}')",
            "last.onnx",
        ),
        "image that does not exist": Case(
            "fwexp",
            "ImagePullFailed",
            ("flywheel.local/no-such-image:1",),
            trial("no-image", "flywheel.local/no-such-image:1", ""),
            stalled=False,
        ),
        "node without the GPU asked for": Case(
            "fwexp",
            "Unschedulable",
            ("1 nvidia.com/gpu",),
            trial("no-gpu", image, "", resources={"limits": {"nvidia.com/gpu": 1}}),
            stalled=False,
        ),
        "quota exceeded": Case(
            "fwexp",
            "QuotaExceeded",
            ("exceeded quota", "licenses"),
            trial("quota", image, "", resources={"limits": {"example.com/license": 1}}),
            stalled=False,
            more=(QUOTA,),
        ),
    }


QUOTA = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "licenses"},
    "spec": {"hard": {"requests.example.com/license": "0"}},
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": (
        resource("Dataset", "refused", {"source": {"s3": {"uri": "s3://flywheel/x.csv"}}, "tarjet": "late"}),
        'unknown field "spec.tarjet"',
    ),
    "wrong enum": (dataset("refused", "s3://flywheel/x.csv", format="XLS"), 'supported values: "CSV"'),
    "both sources given": (
        resource(
            "Dataset",
            "refused",
            {"source": {"s3": {"uri": "s3://flywheel/x.csv"}, "pvc": {"claimName": "c", "path": "x"}}},
        ),
        "give exactly one of s3, pvc, http and sql",
    ),
    "bad duration": (trial("refused", "x", "", trialTimeout="10 minutes"), "trialTimeout"),
    "bad percent": (
        dataset("refused", "s3://flywheel/x.csv", split={"by": "Random", "test": "150%"}),
        "spec.split.test",
    ),
}

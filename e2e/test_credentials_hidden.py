"""main runs as the same user in the same process namespace as collect, and cannot read what collect knows."""

import pytest

from e2e import kube
from e2e.namespace import Namespace

THIEF = """
import os, pathlib, sys
found, refused = [], 0
for process in pathlib.Path("/proc").glob("[0-9]*"):
    for file in ("environ", "root/flywheel", "mem", "cwd/."):
        try:
            target = process / file
            text = target.read_bytes() if file == "environ" else b"".join(os.fsencode(each) for each in target.iterdir()) if target.is_dir() else b""
        except PermissionError:
            refused += 1
            continue
        except OSError:
            continue
        if b"AWS_SECRET_ACCESS_KEY" in text and int(process.name) != os.getpid():
            found.append(str(process))
print("refused", refused, "found", found, file=sys.stderr)
own = [name for name in os.environ if name.startswith(("AWS_", "SOURCE_"))]
pathlib.Path("/flywheel/outputs/metrics.json").write_text('{"refused": %d, "found": %d, "own": %d}' % (refused, len(found), len(own)))
"""


@pytest.fixture(scope="module")
def trial(namespace: Namespace) -> dict[str, float]:
    """What a thief in main's place could get hold of."""
    image = next(
        each["value"]
        for each in (kube.get("deployment", "flywheel-operator", "flywheel-system") or {})["spec"]["template"]["spec"][
            "containers"
        ][0]["env"]
        if each["name"] == "FLYWHEEL_RUNTIME_IMAGE"
    )
    rows = "a,late\n" + "".join(f"{number},{number % 2}\n" for number in range(200))
    dataset = {
        "apiVersion": "flywheel.ml/v1alpha1",
        "kind": "Dataset",
        "metadata": {"name": "rows"},
        "spec": {"source": {"s3": {"uri": namespace.upload("rows.csv", rows)}}, "target": "late"},
    }
    container = {"image": image, "command": ["python3", "-c", THIEF]}
    experiment = {
        "apiVersion": "flywheel.ml/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "thief"},
        "spec": {
            "dataset": "rows",
            "objective": {"metric": "refused", "direction": "Maximize"},
            "trainer": {"container": container},
        },
    }
    namespace.apply(dataset, experiment)
    namespace.wait("fwexp", "thief", seconds=180)
    metrics: dict[str, str] = (namespace.get("fwexp", "thief") or {})["status"]["best"]["metrics"]
    return {name: float(value) for name, value in metrics.items()}


def test_no_secret_is_in_reach(trial: dict[str, float]) -> None:
    assert trial["found"] == 0
    assert trial["own"] == 0


def test_collect_was_there_and_refused(trial: dict[str, float]) -> None:
    assert trial["refused"] > 0

"""`make demo`: the README's example on a real cluster, from flights to a served and monitored model. A second run changes nothing.

The Experiment and the pipeline run at the same time and register a version each. Both have the same test rows, so the Model chooses the
same champion whichever is first.

`make up images deploy` has started the cluster, loaded the images and installed the chart.
"""

import json
import shlex
import shutil
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from demo import april, flights, monitor, retraining
from e2e import kube
from e2e.cluster import cluster
from e2e.cluster.progress import announce
from e2e.waiting import wait_until

HERE = Path(__file__).parent
NAMESPACE = "flights"
# In the folder of the namespace, where the credentials of its pods may read.
RAW, YEAR = "flights/raw/", "flights/year/"
FIRST_QUARTER = "flights-2013-q1.csv.gz"
ACCOUNT = "analyst"  # shows a token to the reader, since a kubeconfig with a client certificate has none
ACCOUNT_ROLES = ("edit", "flywheel-data-reader")
COMMAND = ".venv/bin/flywheel"  # of the checkout; make setup writes it
KINDS = "fwds,fwexp,fwpipe,fwrun,fwver,fwsvc,fwbatch,fwmon"
PREDICT = "/v2/models/flight-delay/predict"
# One flight as the raw data has it: the champion needs no other column, and one that is missing here ends the demo.
FLIGHT = {
    "month": 12, "day": 23, "hour": 18, "sched_dep_time": 1829, "sched_arr_time": 2145, "carrier": "UA", "origin": "EWR", "dest": "IAH", "distance": 1400,
    "temp": 41.0, "dewp": 34.0, "humid": 76.0, "wind_speed": 13.8, "precip": 0.0, "pressure": 1012.0, "visib": 10.0,
}  # fmt: skip


def main() -> int:
    """Upload data, apply manifests, wait, predict, and print a table. Returns the exit code."""
    begin = time.monotonic()
    upload_data()
    create_account()
    for manifest in sorted(HERE.glob("[1-4]-*.yaml")):
        apply(manifest)
    for kind, name, seconds in (
        ("fwds", "flights", 120),
        ("fwexp", "flight-delay", 600),
        ("fwmodel", "flight-delay", 120),
        ("fwpipe", "flight-delay", 60),
    ):
        wait_for(kind, name, seconds)
    show_best_trial()
    run = triggered_run()
    wait_for("fwrun", run, 300)
    versions = {"Experiment": registered_version(), "TrainingPipeline": challenger_of(run)}
    wait_for_champion(set(versions.values()))
    first_versions = describe_versions(versions)
    wait_for("fwsvc", "flight-delay", 120)
    apply(HERE / "5-batchinference.yaml")
    upload_april()
    monitor.replay_april(NAMESPACE)
    apply(HERE / "6-modelmonitor.yaml")
    wait_for("fwbatch", "all-flights", 240)
    monitor.wait_for_report(NAMESPACE)
    retraining.wait_for_next_champion(NAMESPACE)
    show_table()
    print("\n".join(first_versions) + "\n")
    show_prediction()
    monitor.show_findings(NAMESPACE)
    retraining.show_loop(NAMESPACE)
    announce(f"The demo took {time.monotonic() - begin:.0f} s.")
    print(how_to_go_on(cluster.chosen().kubeconfig, None if shutil.which("kubectl") else cluster.kubectl_path().parent))
    return 0


def apply(manifest: Path) -> None:
    """Apply a manifest of this folder, as a user would."""
    announce(f"kubectl apply -f demo/{manifest.name}")
    kube.apply(manifest, NAMESPACE)


def upload_data() -> None:
    """Upload the first quarter to train on and the whole year to predict, unless they are there."""
    folder = flights.flights_folder()
    upload(folder / FIRST_QUARTER, RAW)
    for path in sorted(folder.iterdir()):
        upload(path, YEAR)


def upload_april() -> None:
    """Upload April's flights, and wait until the Dataset has a version with them: what the monitor finds starts a run with the newest one."""
    if not upload(flights.first_days_file(april.MONTH, april.DAYS), RAW):
        return
    before = (kube.get("fwds", "flights", NAMESPACE) or {})["status"]["version"]
    kube.kubectl("annotate", "fwds", "flights", "-n", NAMESPACE, "--overwrite", "flywheel.ml/check-requested=april")
    wait_until(
        lambda: (kube.get("fwds", "flights", NAMESPACE) or {})["status"]["version"] != before,
        120,
        "Dataset 'flights' has no version with April",
    )
    wait_for("fwds", "flights", 60)


def upload(path: Path, prefix: str) -> bool:
    """Upload a file unless it is there. Returns whether it was uploaded."""
    store, bucket, key = kube.store(), kube.bucket(), prefix + path.name
    there = store.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
    if [each["Size"] for each in there if each["Key"] == key] == [path.stat().st_size]:
        announce(f"{key} is in the store already")
        return False
    store.upload_file(str(path), bucket, key)
    announce(f"uploaded {path.name} ({path.stat().st_size / 1e6:.1f} MB) to s3://{bucket}/{key}")
    return True


def create_account() -> None:
    """Create a ServiceAccount that may edit the namespace and read its data."""
    announce(f"ServiceAccount {ACCOUNT} reads what is tracked and stored")
    for manifest in account_manifests():
        kube.apply(manifest, NAMESPACE)


def account_manifests() -> list[kube.Object]:
    """Return what `kubectl create serviceaccount` and two `kubectl create rolebinding` make (docs/client.md, "Access")."""
    bindings: list[kube.Object] = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"{ACCOUNT}-{role}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        }
        for role in ACCOUNT_ROLES
    ]
    return [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}, *bindings]


def wait_for(kind: str, name: str, seconds: float) -> None:
    """Wait until the resource is Ready for its generation, and print each new reason."""
    shown = ""

    def ready() -> bool | None:
        nonlocal shown
        resource = kube.get(kind, name, NAMESPACE)
        condition = kube.condition(resource)
        line = f"{condition.get('reason', 'Pending')}: {condition.get('message', '')}"
        if line != shown and resource is not None:
            shown = line
            announce(f"{kind}/{name} {line}")
        if kube.condition(resource, "Stalled").get("status") == "True":
            raise SystemExit(f"{kind}/{name} cannot go on: {condition.get('message')}")
        current = resource is not None and condition.get("observedGeneration") == resource["metadata"]["generation"]
        settled = kube.condition(resource, "Reconciling").get("status") != "True"
        return True if current and settled and condition.get("status") == "True" else None

    wait_until(
        ready,
        seconds,
        lambda: f"{kind}/{name} is not Ready: {shown}. See 'kubectl describe {kind} {name} -n {NAMESPACE}'",
    )


def registered_version() -> str:
    """Return the ModelVersion that the Experiment registered."""
    version: str = (kube.get("fwexp", "flight-delay", NAMESPACE) or {})["status"]["modelVersion"]
    return version


def triggered_run() -> str:
    """Return the TrainingRun that the trigger `new-quarter` started for the first version of the data."""

    def fired() -> str | None:
        return retraining.fired_run(kube.get("fwpipe", "flight-delay", NAMESPACE) or {}, "new-quarter")

    return wait_until(fired, 60, "trigger 'new-quarter' of the pipeline has not fired")


def challenger_of(run: str) -> str:
    """Return the ModelVersion that a TrainingRun registered."""
    version = retraining.challenger(kube.get("fwrun", run, NAMESPACE) or {})
    if version is None:
        raise SystemExit(
            f"TrainingRun '{run}' has registered no version; see 'kubectl describe fwrun {run} -n {NAMESPACE}'"
        )
    return version


def wait_for_champion(versions: set[str]) -> None:
    """Wait until the Model has a final verdict on each version, and its service serves the champion."""

    def served() -> bool | None:
        model = kube.get("fwmodel", "flight-delay", NAMESPACE) or {}
        service = (kube.get("fwsvc", "flight-delay", NAMESPACE) or {}).get("status") or {}
        is_served = service.get("version") == (model.get("status") or {}).get("champion")
        return True if versions <= retraining.final_verdicts(model) and is_served else None

    wait_until(served, 180, "the champion of Model 'flight-delay' is not served")


def show_table() -> None:
    """Print the four columns that all kinds have. The reason of the Model is about the newest version, so `describe_versions` speaks of the Model."""
    print(f"\n$ kubectl get {KINDS} -n {NAMESPACE}")
    print(kube.kubectl("get", KINDS, "--namespace", NAMESPACE))


def describe_versions(versions: dict[str, str]) -> list[str]:
    """One line for the version of the Experiment and one for that of the pipeline, with what both have on the same test rows."""
    champion = (kube.get("fwmodel", "flight-delay", NAMESPACE) or {})["status"]["champion"]
    lines = ["Model flight-delay: both versions were tested on the same rows of the first quarter, and the gates chose"]
    for origin, name in versions.items():
        metrics = (kube.get("fwver", name, NAMESPACE) or {})["status"]["metrics"]
        verdict = "champion" if name == champion else "not promoted"
        lines.append(f"  {name}   roc_auc {float(metrics['roc_auc']):.3f}   of the {origin:<18}{verdict}")
    return lines


def show_best_trial() -> None:
    """Print the best trial of the search."""
    experiment = kube.get("fwexp", "flight-delay", NAMESPACE) or {}
    print(f"Best trial: {json.dumps(experiment.get('status', {}).get('best', {}), indent=2)}\n")


def show_prediction() -> None:
    """Request a prediction with tritonclient, and the same with the row that curl would send."""
    with kube.port_forward("service/flight-delay", 8080, NAMESPACE) as port:
        address = f"127.0.0.1:{port}"
        with urllib.request.urlopen(f"http://{address}/v2/models/flight-delay", timeout=10) as response:
            inputs: list[dict[str, Any]] = json.load(response)["inputs"]
        body = json.dumps({"rows": [{each["name"]: FLIGHT[each["name"]] for each in inputs}]})
        print("A flight of United from Newark to Houston, 23 December, 18:00, predicted with tritonclient:")
        print(f"  probability of 15 minutes or more late: {predict_delay(address, inputs):.3f}\n")
        print(f"$ kubectl -n {NAMESPACE} port-forward service/flight-delay 8080 &")
        print(f"$ curl -s localhost:8080{PREDICT} -H 'Content-Type: application/json' -d '{body}'")
        request = urllib.request.Request(
            f"http://{address}{PREDICT}", body.encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            print(response.read().decode() + "\n")


def predict_delay(address: str, inputs: list[dict[str, Any]]) -> float:
    """Return the probability of the last class, by tritonclient."""
    import numpy
    import tritonclient.http as triton
    from tritonclient.utils import triton_to_np_dtype

    tensors = []
    for each in inputs:
        tensor = triton.InferInput(each["name"], [1, 1], each["datatype"])
        kind = object if each["datatype"] == "BYTES" else triton_to_np_dtype(each["datatype"])
        tensor.set_data_from_numpy(numpy.array([[FLIGHT[each["name"]]]], dtype=kind))
        tensors.append(tensor)
    client = triton.InferenceServerClient(address)
    try:
        return float(client.infer("flight-delay", tensors).as_numpy("probabilities")[0][-1])
    finally:
        client.close()


def how_to_go_on(kubeconfig: Path, kubectl_folder: Path | None) -> str:
    """Return the commands that go on from here. `kubectl_folder` is where kubectl lies that no PATH has."""
    path = f"\n  export PATH=$PATH:{shlex.quote(str(kubectl_folder))}" if kubectl_folder else ""
    return f"""Go on:
  export KUBECONFIG={shlex.quote(str(kubeconfig))} FLYWHEEL_SERVICE_ACCOUNT={NAMESPACE}/{ACCOUNT}{path}
  kubectl get flywheel -A                                  # everything, in four columns
  kubectl -n {NAMESPACE} describe fwexp flight-delay           # every condition with its reason and message
  {COMMAND} status -n {NAMESPACE}                     # the namespace as one tree, from data to services
  {COMMAND} trials -n {NAMESPACE} --experiment flight-delay --order-by 'metrics.roc_auc DESC'   # what was tracked
  {COMMAND} compare -n {NAMESPACE} flight-delay/1 flight-delay/2   # what two trials differ in
  {COMMAND} logs -n {NAMESPACE} flight-delay/1        # what a trial printed, also when its pod is gone
  kubectl -n {NAMESPACE} patch fwexp flight-delay --type merge -p '{{"spec":{{"budget":{{"maxTrials":16}}}}}}'   # four trials more
  kubectl explain experiment.spec --api-version flywheel.ml/v1alpha1
  make down                                                # leaves nothing behind"""


if __name__ == "__main__":
    sys.exit(main())

"""`make demo`: the README's example on a real cluster, from flights to a served prediction. A second run changes nothing.

`make up images deploy` has started the cluster, loaded the images and installed the chart.
"""

import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from demo import flights
from e2e import kube
from e2e.cluster.progress import announce
from e2e.waiting import wait_until

HERE = Path(__file__).parent
NAMESPACE = "flights"
PREFIX = "flights/raw/"  # in the folder of the namespace, where the credentials of its pods may read
FLIGHT = {
    "month": 12, "day": 23, "hour": 18, "sched_dep_time": 1829, "sched_arr_time": 2145, "carrier": "UA", "origin": "EWR", "dest": "IAH", "distance": 1400,
    "temp": 41.0, "dewp": 34.0, "humid": 76.0, "wind_speed": 13.8, "precip": 0.0, "pressure": 1012.0, "visib": 10.0,
}  # fmt: skip


def main() -> int:
    """Upload data, apply manifests, wait, predict, and print a table. Returns the exit code."""
    begin = time.monotonic()
    upload_data()
    for manifest in sorted(HERE.glob("[0-9]-*.yaml")):
        announce(f"kubectl apply -f demo/{manifest.name}")
        kube.apply(manifest, NAMESPACE)
    for kind, name, seconds in (
        ("fwds", "flights", 120),
        ("fwexp", "flight-delay", 600),
        ("fwmodel", "flight-delay", 120),
        ("fwsvc", "flight-delay", 120),
        ("fwpipe", "flight-delay", 60),
    ):
        wait_for(kind, name, seconds)
    show_best_trial()
    wait_for("fwrun", triggered_run(), 300)
    wait_for("fwver", registered_version(), 120)
    wait_for("fwsvc", "flight-delay", 120)
    show_table()
    show_prediction()
    announce(f"The demo took {time.monotonic() - begin:.0f} s.")
    print(HOW_TO_GO_ON)
    return 0


def upload_data() -> None:
    """Upload the flights to the store, unless they are there."""
    store, bucket = kube.store(), kube.bucket()
    there = {
        each["Key"]: each["Size"] for each in store.list_objects_v2(Bucket=bucket, Prefix=PREFIX).get("Contents", [])
    }
    folder = flights.flights_folder()
    for path in sorted(folder.iterdir()):
        key = PREFIX + path.name
        if there.get(key) == path.stat().st_size:
            announce(f"{path.name} is in the store already")
            continue
        store.upload_file(str(path), bucket, key)
        announce(f"uploaded {path.name} ({path.stat().st_size / 1e6:.1f} MB) to s3://{bucket}/{key}")


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
    """Return the TrainingRun that the trigger `new-month` started for the first version of the data."""

    def fired() -> str | None:
        status = (kube.get("fwpipe", "flight-delay", NAMESPACE) or {}).get("status") or {}
        triggers = {each["name"]: each for each in status.get("triggers") or ()}
        started: str | None = (triggers.get("new-month", {}).get("fired") or {}).get("run")
        return started

    return wait_until(fired, 60, "trigger 'new-month' of the pipeline has not fired")


def show_table() -> None:
    """Print the four columns that all kinds have."""
    print("\n$ kubectl get flywheel -n flights")
    print(kube.kubectl("get", "flywheel", "--namespace", NAMESPACE))


def show_best_trial() -> None:
    """Print the best trial of the search."""
    experiment = kube.get("fwexp", "flight-delay", NAMESPACE) or {}
    print(f"Best trial: {json.dumps(experiment.get('status', {}).get('best', {}), indent=2)}\n")


def show_prediction() -> None:
    """Request a prediction with tritonclient, and the same with the body that curl would send."""
    with kube.port_forward("service/flight-delay", 8080, NAMESPACE) as port:
        address = f"127.0.0.1:{port}"
        with urllib.request.urlopen(f"http://{address}/v2/models/flight-delay", timeout=10) as response:
            inputs: list[dict[str, Any]] = json.load(response)["inputs"]
        body = {
            "inputs": [
                {"name": each["name"], "datatype": each["datatype"], "shape": [1, 1], "data": [value_for(each)]}
                for each in inputs
            ]
        }
        print("A flight of United from Newark to Houston, 23 December, 18:00, predicted with tritonclient:")
        print(f"  probability of 15 minutes or more late: {predict_delay(address, inputs):.3f}\n")
        print(f"$ kubectl -n {NAMESPACE} port-forward service/flight-delay 8080 &")
        print(f"$ curl -s localhost:8080/v2/models/flight-delay/infer -d '{json.dumps(body)}'")
        request = urllib.request.Request(
            f"http://{address}/v2/models/flight-delay/infer",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            print(response.read().decode() + "\n")


def value_for(tensor: dict[str, Any]) -> Any:
    """Return the flight's value for one input; an input that the demo does not set gets a neutral value."""
    empty: Any = "" if tensor["datatype"] == "BYTES" else 0
    return FLIGHT.get(tensor["name"], empty)


def predict_delay(address: str, inputs: list[dict[str, Any]]) -> float:
    """Return the probability of the last class, by tritonclient."""
    import numpy
    import tritonclient.http as triton
    from tritonclient.utils import triton_to_np_dtype

    tensors = []
    for each in inputs:
        tensor = triton.InferInput(each["name"], [1, 1], each["datatype"])
        kind = object if each["datatype"] == "BYTES" else triton_to_np_dtype(each["datatype"])
        tensor.set_data_from_numpy(numpy.array([[value_for(each)]], dtype=kind))
        tensors.append(tensor)
    client = triton.InferenceServerClient(address)
    try:
        return float(client.infer("flight-delay", tensors).as_numpy("probabilities")[0][-1])
    finally:
        client.close()


HOW_TO_GO_ON = f"""Go on:
  export KUBECONFIG=$PWD/.cluster/kubeconfig
  kubectl get flywheel -A                                  # everything, in four columns
  kubectl -n {NAMESPACE} describe fwexp flight-delay           # every condition with its reason and message
  kubectl -n {NAMESPACE} patch fwexp flight-delay --type merge -p '{{"spec":{{"budget":{{"maxTrials":16}}}}}}'   # four trials more
  kubectl explain experiment.spec --api-version flywheel.ml/v1alpha1
  make down                                                # leaves nothing behind"""

if __name__ == "__main__":
    sys.exit(main())

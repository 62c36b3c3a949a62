"""The provisioner behind the default StorageClass: each claim gets a folder of the host, writable by any user.

A pod that runs as 65532 can write at once, any number of claims can exist, and a folder goes when its claim is deleted.
Run by `up` as a process of the host: python3 -m e2e.cluster.volumes
"""

import json
import shutil
import ssl
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPSConnection
from threading import Thread
from typing import Any

from e2e.cluster import node
from e2e.cluster.network import NODE_ADDRESS
from e2e.cluster.paths import PKI, VOLUMES

API_PORT = 6443
PROVISIONER = "flywheel.local/folder"
CLASS = "standard"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES_PATH = "/api/v1/persistentvolumes"
# A watch ends after this long and everything is listed again, so nothing is missed for longer.
WATCH_SECONDS = 300


def volume_for(claim: dict[str, Any]) -> dict[str, Any]:
    """The volume, bound beforehand to its claim; its name comes from the claim's uid, so a second try meets the first."""
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{metadata['uid']}"
    on_this_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": CLASS,
            "local": {"path": str(VOLUMES / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_this_node]}]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                **{field: metadata[field] for field in ("name", "namespace", "uid")},
            },
        },
    }


def wants_volume(claim: dict[str, Any]) -> bool:
    spec = claim["spec"]
    unbound = claim.get("status", {}).get("phase") == "Pending" and "volumeName" not in spec
    ours = spec.get("storageClassName") == CLASS and spec.get("volumeMode", "Filesystem") == "Filesystem"
    return bool(unbound and ours and "deletionTimestamp" not in claim["metadata"])


def is_released(volume: dict[str, Any]) -> bool:
    ours = volume["metadata"].get("annotations", {}).get(PROVISIONED_BY) == PROVISIONER
    return bool(ours and volume.get("status", {}).get("phase") == "Released")


def provide(claim: dict[str, Any]) -> None:
    volume = volume_for(claim)
    folder = VOLUMES / volume["metadata"]["name"]
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    status, answer = request("POST", VOLUMES_PATH, volume)
    if status not in (201, 409):
        print(f"Volume for claim {claim['metadata']['name']!r} refused ({status}): {answer.decode()[:400]}", flush=True)


def remove(volume: dict[str, Any]) -> None:
    name = volume["metadata"]["name"]
    shutil.rmtree(VOLUMES / name, ignore_errors=True)
    request("DELETE", f"{VOLUMES_PATH}/{name}")


def look(path: str) -> str:
    """Handles everything that exists; returns the version to watch from."""
    status, answer = request("GET", path)
    if status != 200:
        raise HTTPException(f"{path}: {status} {answer.decode()[:200]}")
    listed = json.loads(answer)
    for item in listed["items"]:
        handle(path, item)
    return str(listed["metadata"]["resourceVersion"])


def handle(path: str, item: dict[str, Any]) -> None:
    if path == CLAIMS and wants_volume(item):
        provide(item)
    if path == VOLUMES_PATH and is_released(item):
        remove(item)


def changes(path: str, version: str) -> Iterator[dict[str, Any]]:
    connection = connect(timeout=WATCH_SECONDS + 30)
    connection.request("GET", f"{path}?watch=1&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}")
    response = connection.getresponse()
    while line := response.readline():
        change = json.loads(line)
        if change["type"] == "ERROR":
            return
        yield change["object"]
    connection.close()


def follow(path: str) -> None:
    while True:
        try:
            for item in changes(path, look(path)):
                handle(path, item)
        except (OSError, HTTPException, ValueError) as reason:
            print(f"{path}: {reason}; looking again", flush=True)
            time.sleep(1)


def request(method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
    connection = connect(timeout=10)
    connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = (response.status, response.read())
    connection.close()
    return answer


def connect(timeout: float) -> HTTPSConnection:
    context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    context.load_cert_chain(PKI / "volumes.crt", PKI / "volumes.key")
    return HTTPSConnection(NODE_ADDRESS, API_PORT, timeout=timeout, context=context)


def main() -> None:
    Thread(target=follow, args=(CLAIMS,)).start()
    follow(VOLUMES_PATH)


if __name__ == "__main__":
    main()

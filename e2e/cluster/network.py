"""The native cluster's network: addresses, routes, the pods' way out; and the removal of every trace of them.

        pod 10.244.x.y  --veth-->  host  --masquerade-->  outside
                                    |
        flywheel0 172.31.255.1 (the node: API server, kubelet, DNS, NodePorts)

Pods hang on the host by point-to-point links and not on a bridge: everything between pods is routed, so kube-proxy sees it
without the kernel's bridge filter. Nothing listens on an address that another machine can reach.
"""

import json
import subprocess
from pathlib import Path

from e2e.cluster.paths import RUNTIME, STATE
from e2e.cluster.progress import Failure

NODE_ADDRESS = "172.31.255.1"
NODE_LINK = "flywheel0"
POD_RANGE = "10.244.0.0/20"
SERVICE_RANGE = "10.96.0.0/16"
TABLE = "flywheel-dev"
CNI_CONFIGURATION = RUNTIME / "cni"
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
IP_FORWARD_BEFORE = STATE / "ip_forward.before"
# containerd's CNI library keeps its results here whatever the configuration says.
CNI_RESULTS = Path("/var/lib/cni/results")
MASQUERADE = f"""
table ip {TABLE} {{}}
delete table ip {TABLE}
table ip {TABLE} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {POD_RANGE} ip daddr != {{ {POD_RANGE}, {SERVICE_RANGE}, {NODE_ADDRESS} }} masquerade
  }}
}}
"""


def up() -> None:
    if not Path(f"/sys/class/net/{NODE_LINK}").exists():
        # A bridge without ports, because not every kernel has `dummy` links.
        ip("link", "add", NODE_LINK, "type", "bridge")
    ip("address", "replace", f"{NODE_ADDRESS}/32", "dev", NODE_LINK)
    ip("link", "set", NODE_LINK, "up")
    # So that the host reaches ClusterIPs even where it has no default route.
    ip("route", "replace", SERVICE_RANGE, "dev", NODE_LINK, "src", NODE_ADDRESS)
    if not IP_FORWARD_BEFORE.exists():
        IP_FORWARD_BEFORE.write_text(IP_FORWARD.read_text())
    IP_FORWARD.write_text("1")
    nft(MASQUERADE)
    CNI_CONFIGURATION.mkdir(parents=True, exist_ok=True)
    (CNI_CONFIGURATION / "10-flywheel.conflist").write_text(json.dumps(pod_network(), indent=1))


def pod_network() -> dict[str, object]:
    ipam = {
        "type": "host-local",
        "dataDir": str(RUNTIME / "addresses"),
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {"cniVersion": "0.4.0", "name": "flywheel-dev", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": ipam}]}


def down() -> None:
    """The pods' links are gone with their namespaces; what is left is ours by name."""
    if Path(f"/sys/class/net/{NODE_LINK}").exists():
        ip("link", "delete", NODE_LINK)
    for family, table in (("ip", TABLE), ("ip", "kube-proxy"), ("ip6", "kube-proxy")):
        # Declared first, because deleting what does not exist is an error.
        nft(f"table {family} {table} {{}}\ndelete table {family} {table}\n")
    if IP_FORWARD_BEFORE.exists():
        IP_FORWARD.write_text(IP_FORWARD_BEFORE.read_text())
        IP_FORWARD_BEFORE.unlink()
    # The loopback's results carry another network's name, but the path of our pods' namespaces.
    for result in CNI_RESULTS.glob("*"):
        if result.name.startswith("flywheel-dev-") or str(RUNTIME) in result.read_text(errors="replace"):
            result.unlink()
    for folder in (CNI_RESULTS, CNI_RESULTS.parent):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"'ip {' '.join(words)}' failed: {done.stderr.strip()}; look at what uses that link or address")


def nft(rules: str) -> None:
    done = subprocess.run(["nft", "-f", "-"], input=rules, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(
            f"nft refused the pod network's rules: {done.stderr.strip()}; the kernel needs nf_tables with nat"
        )

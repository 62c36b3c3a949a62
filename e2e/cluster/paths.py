"""Where everything lies."""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# What belongs to one checkout: its kubeconfig, the images it built, the store's address.
DOT_CLUSTER = CHECKOUT / ".cluster"
KUBECONFIG = DOT_CLUSTER / "kubeconfig"
DESCRIPTION = DOT_CLUSTER / "cluster.json"
IMAGES = DOT_CLUSTER / "images.json"
IMAGE_VALUES = DOT_CLUSTER / "image-values.json"
STORE_ENV = DOT_CLUSTER / "store.env"

# What belongs to the machine: one native cluster. STATE survives a reboot, RUNTIME need not.
STATE = Path("/var/lib/flywheel-dev")
RUNTIME = Path("/run/flywheel-dev")
LOGS = STATE / "logs"
AUDIT_LOG = STATE / "audit" / "audit.log"
PKI = STATE / "pki"
VOLUMES = STATE / "volumes"
CONTAINERD_SOCKET = RUNTIME / "containerd.sock"


def cache() -> Path:
    """Builds live outside the checkout, so that a second checkout and `git clean` do not cost ten minutes."""
    if chosen := os.environ.get("FLYWHEEL_CACHE"):
        return Path(chosen).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flywheel"

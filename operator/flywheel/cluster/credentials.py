"""How this process reaches the API server: a kubeconfig or the pod's service account."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml
from kubernetes import config
from kubernetes.client import Configuration

IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
POOL_SIZE = 32  # connections; measured: 16 threads on the default of 10 lose a sixth of their throughput


@dataclass(frozen=True)
class Credentials:
    """What another HTTP client needs, by the names of kopf's ConnectionInfo. `token` is current at the time of the call."""

    server: str
    ca_path: str | None = None
    certificate_path: str | None = None
    private_key_path: str | None = None
    scheme: str | None = None
    token: str | None = None
    insecure: bool = False


class NoKubeconfig(Exception):
    """There is no usable kubeconfig; the message says why."""


def configuration(environment: Mapping[str, str], context: str | None = None) -> Configuration:
    """Returns the connection of KUBECONFIG (or ~/.kube/config), or in a pod that of its service account, whose token is read every minute.

    Raises:
        ConfigException: neither exists or can be read.
    """
    settings = Configuration()
    if _is_pod(environment):
        config.load_incluster_config(client_configuration=settings)
    else:
        config.load_kube_config(environment.get("KUBECONFIG"), context=context, client_configuration=settings)
    settings.connection_pool_maxsize = POOL_SIZE
    settings.retries = False  # the queue retries, with backoff, and counts
    return settings


def user_configuration(environment: Mapping[str, str], context: str | None) -> tuple[Configuration, str]:
    """Returns the connection of a user's command, and the namespace of its context.

    Raises:
        NoKubeconfig: there is no kubeconfig, or it does not have this context.
    """
    try:
        settings = configuration(environment, context)
        if _is_pod(environment):
            return settings, IN_CLUSTER_NAMESPACE.read_text().strip()
        contexts, active = config.list_kube_config_contexts(environment.get("KUBECONFIG"))
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError) as error:
        message = f"there is no cluster to connect to: {error}; set KUBECONFIG, or see whether 'kubectl version' works"
        raise NoKubeconfig(message) from error
    chosen = next((each for each in contexts if each["name"] == context), active)
    return settings, str(chosen["context"].get("namespace") or "default")


def _is_pod(environment: Mapping[str, str]) -> bool:
    return "KUBERNETES_SERVICE_HOST" in environment and "KUBECONFIG" not in environment


def credentials(settings: Configuration) -> Credentials:
    """Returns the same for another HTTP client."""
    header = cast("str | None", settings.get_api_key_with_prefix("BearerToken", alias="authorization"))
    scheme, _, token = (header or "").partition(" ")
    return Credentials(
        server=settings.host,
        ca_path=settings.ssl_ca_cert,
        certificate_path=settings.cert_file,
        private_key_path=settings.key_file,
        scheme=scheme.capitalize() or None,
        token=token or None,
        insecure=not settings.verify_ssl,
    )

"""How this process reaches the API server: a kubeconfig or the pod's service account."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from kubernetes import config
from kubernetes.client import Configuration

POOL = 32  # connections kept; measured: 16 threads on the default of 10 lose a sixth of their throughput


@dataclass(frozen=True)
class Credentials:
    """What any HTTP client needs. `authorization` is the header's whole value, fresh at the time of the call."""

    server: str
    ca_path: str | None
    certificate_path: str | None
    private_key_path: str | None
    authorization: str | None
    verify: bool


def configuration(environment: Mapping[str, str]) -> Configuration:
    """From KUBECONFIG (or ~/.kube/config), or inside a cluster from the service account, whose token is read anew every minute.

    Raises:
        ConfigException: neither is there or can be read.
    """
    settings = Configuration()
    if "KUBERNETES_SERVICE_HOST" in environment and "KUBECONFIG" not in environment:
        config.load_incluster_config(client_configuration=settings)
    else:
        config.load_kube_config(config_file=environment.get("KUBECONFIG"), client_configuration=settings)
    settings.connection_pool_maxsize = POOL
    settings.retries = False  # the queue retries, with backoff, and counts
    return settings


def credentials(settings: Configuration) -> Credentials:
    """The same for another HTTP client."""
    return Credentials(
        server=settings.host,
        ca_path=settings.ssl_ca_cert,
        certificate_path=settings.cert_file,
        private_key_path=settings.key_file,
        authorization=cast("str | None", settings.get_api_key_with_prefix("BearerToken", alias="authorization")),
        verify=bool(settings.verify_ssl),
    )

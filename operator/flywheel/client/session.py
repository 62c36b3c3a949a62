"""The connection of one user to one namespace: objects by the Kubernetes API, and the reader."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.client.errors import FlywheelError, describe_condition
from flywheel.client.predictor import Predictor
from flywheel.client.transport.endpoints import Endpoint, ProxyEndpoint, UrlEndpoint, check_url
from flywheel.client.transport.model_services import check_runtime, service_audience, service_host
from flywheel.client.transport.reader import Reader
from flywheel.client.transport.tokens import Tokens
from flywheel.core.resource.api import Api, Manifest, Reference

if TYPE_CHECKING:
    from urllib3 import PoolManager

    from flywheel.cluster.client import Client
    from flywheel.cluster.errors import ApiError

READER_SERVICE, READER_PORT = "flywheel-reader", 8080
SERVER_PORT = 8080  # REST, of a model server
DEFAULT_RELEASE_NAMESPACE = "flywheel-system"
FIELD_MANAGER = "flywheel-client"


@dataclass(frozen=True)
class Options:
    """How the reader and the services are reached. What is None is taken from the environment, else the default.

    `reader_url` is the address of the reader's Ingress (FLYWHEEL_READER_URL); without it the reader is reached through the API server's proxy.
    `release_namespace` is where Flywheel is installed (FLYWHEEL_RELEASE_NAMESPACE, flywheel-system).
    `service_account` is NAME or NAMESPACE/NAME, whose tokens are requested where yours does not do (FLYWHEEL_SERVICE_ACCOUNT).
    `token_file` holds a token for model servers (FLYWHEEL_TOKEN_FILE).
    `audience` is one that services share, and that tokens are requested for; without it they are for the service's own alone.
    """

    reader_url: str | None = None
    release_namespace: str | None = None
    service_account: str | None = None
    token_file: str | None = None
    audience: str | None = None

    def with_environment(self, environment: Mapping[str, str] = os.environ) -> "Options":
        """Returns the options with what the environment says where nothing is given."""
        return Options(
            self.reader_url or environment.get("FLYWHEEL_READER_URL") or None,
            self.release_namespace
            or environment.get("FLYWHEEL_RELEASE_NAMESPACE")
            or environment.get("FLYWHEEL_NAMESPACE_OF_RELEASE")  # its earlier name
            or DEFAULT_RELEASE_NAMESPACE,
            self.service_account or environment.get("FLYWHEEL_SERVICE_ACCOUNT") or None,
            self.token_file or environment.get("FLYWHEEL_TOKEN_FILE") or None,
            self.audience or None,
        )


@dataclass(frozen=True)
class Session:
    """One namespace. Its methods raise FlywheelError where a server refuses."""

    cluster: "Client"
    namespace: str
    reader: Reader
    tokens: Tokens
    pool: "PoolManager"
    in_cluster: bool = False

    def apply(self, api: Api, manifest: Manifest, *, force: bool) -> Manifest:
        """Applies a manifest server-side and returns the object as stored."""
        with _translated_errors():
            return self.cluster.apply(api, manifest, FIELD_MANAGER, force=force)[0]

    def in_namespace(self, namespace: str) -> "Session":
        """Returns the same for another namespace."""
        return replace(self, namespace=namespace)

    def get(self, api: Api, name: str) -> Manifest | None:
        """Returns an object, or None."""
        with _translated_errors():
            return self.cluster.get(Reference(api, self.namespace, name))

    def require(self, api: Api, name: str) -> Manifest:
        """Returns an object.

        Raises:
            FlywheelError: it does not exist.
        """
        found = self.get(api, name)
        if found is None:
            raise FlywheelError(Reference(api, self.namespace, name).describe_absence(), reason="NotFound", status=404)
        return found

    def list_objects(self, api: Api) -> list[Manifest]:
        """Returns all objects of a kind, by name."""
        with _translated_errors():
            return sorted(
                self.cluster.list_objects(api, self.namespace), key=lambda each: str(each["metadata"]["name"])
            )

    def create(self, api: Api, manifest: Manifest) -> Manifest:
        """Creates an object and returns it as stored."""
        with _translated_errors():
            return self.cluster.create(api, manifest)

    def patch_spec(self, api: Api, name: str, spec: Mapping[str, Any]) -> None:
        """Sets fields of a spec."""
        with _translated_errors():
            live = self.require(api, name)
            self.cluster.merge(live, api, {"spec": spec}, FIELD_MANAGER)

    def predictor(self, service: Manifest, version: str | None = None, *, is_named: bool = False) -> Predictor:
        """Returns a service as what predicts: by its address in the cluster, else through the API server's proxy. `is_named`: the user chose it.

        Raises:
            FlywheelError: another runtime than Flywheel's own server serves the model.
        """
        check_runtime(service)
        name, wanted = str(service["metadata"]["name"]), service_audience(service, self.namespace)
        host = service_host(service, self.namespace)

        def token() -> str | None:
            return self.tokens.service_token(wanted, is_named=is_named) if wanted is not None else None

        endpoint: Endpoint
        if self.in_cluster:
            # Not by status.url, since a token goes where the name leads, whatever the status says.
            endpoint = UrlEndpoint(f"http://{host}:{SERVER_PORT}", token, self.pool)
        else:
            endpoint = ProxyEndpoint(self.cluster, self.namespace, host.partition(".")[0], SERVER_PORT, token)
        return Predictor(endpoint, name, version, describe_condition(service), self.tokens.forget_tokens)


def open_user_session(
    namespace: str | None = None,
    *,
    context: str | None = None,
    options: Options | None = None,
    environment: Mapping[str, str] | None = None,
) -> Session:
    """Connects as kubectl does, by KUBECONFIG or in a pod by its ServiceAccount. `namespace` is by default that of the kubeconfig's context.

    Raises:
        FlywheelError: there is no kubeconfig.
    """
    from flywheel.cluster.client import Client
    from flywheel.cluster.credentials import NoKubeconfig, user_configuration
    from flywheel.cluster.retries import USER_PAUSES

    found = os.environ if environment is None else environment
    try:
        settings, default = user_configuration(found, context)
    except NoKubeconfig as error:
        raise FlywheelError(str(error), reason="NoKubeconfig") from None
    in_cluster = "KUBERNETES_SERVICE_HOST" in found and "KUBECONFIG" not in found
    cluster = Client(settings, pauses=USER_PAUSES)
    given = (options or Options()).with_environment(found)
    return open_session(cluster, namespace or default, given, in_cluster=in_cluster)


def open_session(cluster: "Client", namespace: str, options: Options, *, in_cluster: bool = False) -> Session:
    """Returns a session over a connection to the API server."""
    from urllib3 import PoolManager

    token_file = Path(options.token_file) if options.token_file else None
    tokens = Tokens(cluster, namespace, options.service_account, token_file, options.audience)
    pool = PoolManager(num_pools=8, maxsize=8)
    release = options.release_namespace or DEFAULT_RELEASE_NAMESPACE
    endpoint: Endpoint
    if options.reader_url:
        url = check_url(options.reader_url, "--reader-url (FLYWHEEL_READER_URL, reader_url=)")
        endpoint = UrlEndpoint(url, tokens.reader_token, pool)
    elif in_cluster:
        endpoint = UrlEndpoint(f"http://{READER_SERVICE}.{release}.svc:{READER_PORT}", tokens.reader_token, pool)
    else:
        endpoint = ProxyEndpoint(cluster, release, READER_SERVICE, READER_PORT, tokens.reader_token)
    return Session(cluster, namespace, Reader(endpoint, tokens.forget_tokens), tokens, pool, in_cluster)


@contextmanager
def _translated_errors() -> Iterator[None]:
    """A `with` block in which an error of the API server becomes a FlywheelError."""
    from flywheel.cluster.errors import ApiError

    try:
        yield
    except ApiError as error:
        raise api_error(error) from error


def api_error(error: "ApiError") -> FlywheelError:
    """Returns the same as a FlywheelError, with the API server's own message."""
    return FlywheelError(error.describe(), reason=error.reason, status=error.status)

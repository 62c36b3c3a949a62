"""The cluster that a command speaks to: the user's own kubeconfig, with the user's own rights."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass

from flywheel.cli.errors import CommandError
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import NoKubeconfig, user_configuration
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Api, Manifest, Reference


@dataclass(frozen=True)
class Connection:
    """One namespace of one cluster. Raises ApiError where the server refuses."""

    client: Client
    namespace: str

    def reference(self, api: Api, name: str) -> Reference:
        """An address in this namespace."""
        return Reference(api, self.namespace, name)

    def get(self, api: Api, name: str) -> Manifest | None:
        """One object, or None."""
        return self.client.get(self.reference(api, name))

    def found(self, api: Api, name: str) -> Manifest:
        """One object.

        Raises:
            Failure: it does not exist.
        """
        manifest = self.get(api, name)
        if manifest is None:
            raise CommandError(
                f"{self.reference(api, name)} does not exist; 'kubectl get {api} -n {self.namespace}' lists what does"
            )
        return manifest

    def every(self, api: Api) -> list[Manifest]:
        """All objects of a kind of ours, by name; none where this cluster does not know the kind."""
        try:
            found = self.client.list_objects(api, self.namespace)
        except ApiError as error:
            if error.not_found:
                return []
            raise
        return sorted(found, key=lambda each: str(each["metadata"]["name"]))


def connect(arguments: Namespace, environment: Mapping[str, str] | None = None) -> Connection:
    """By the options of `options`.

    Raises:
        Failure: there is no kubeconfig.
    """
    try:
        settings, namespace = user_configuration(os.environ if environment is None else environment, arguments.context)
    except NoKubeconfig as error:
        raise CommandError(
            f"no cluster to speak to: {error}; set KUBECONFIG, or see whether 'kubectl version' works"
        ) from None
    return Connection(Client(settings), arguments.namespace or namespace)


def add_options(parser: ArgumentParser) -> None:
    """What every command that speaks to a cluster takes."""
    parser.add_argument("-n", "--namespace", help="the namespace; absent, that of the kubeconfig's context")
    parser.add_argument("--context", help="the kubeconfig's context; absent, the current one")

"""The connection of a command to a cluster: by the user's kubeconfig, with the user's permissions."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass

from flywheel.cli.errors import CommandError
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import NoKubeconfig, user_configuration
from flywheel.core.resource.api import Api, Manifest, Reference

SELF_SUBJECT_REVIEW = Api("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews")
FIELD_MANAGER = "flywheel-cli"


@dataclass(frozen=True)
class Connection:
    """One namespace of one cluster. Its methods raise ApiError where the server refuses."""

    client: Client
    namespace: str

    def reference(self, api: Api, name: str) -> Reference:
        """Returns the reference of an object in this namespace."""
        return Reference(api, self.namespace, name)

    def get(self, api: Api, name: str) -> Manifest | None:
        """Returns one object, or None."""
        return self.client.get(self.reference(api, name))

    def require(self, api: Api, name: str) -> Manifest:
        """Returns one object.

        Raises:
            CommandError: it does not exist.
        """
        manifest = self.get(api, name)
        if manifest is None:
            raise CommandError(
                f"{self.reference(api, name)} does not exist; 'kubectl get {api} -n {self.namespace}' lists what does"
            )
        return manifest

    def change(self, live: Manifest, api: Api, patch: Manifest) -> Manifest:
        """Changes fields of an object, and returns it. The API server records FIELD_MANAGER as their manager."""
        return self.client.merge(live, api, patch, FIELD_MANAGER)

    def user_name(self) -> str:
        """Returns the name that the API server has for the user of this connection."""
        review = SELF_SUBJECT_REVIEW.manifest("", metadata={"namespace": ""})
        return str(self.client.create(SELF_SUBJECT_REVIEW, review)["status"]["userInfo"]["username"])

    def list_objects(self, api: Api) -> list[Manifest]:
        """Returns all objects of one of Flywheel's kinds, by name; none where this cluster does not have the kind."""
        return sorted(self.client.list_objects(api, self.namespace), key=lambda each: str(each["metadata"]["name"]))


def connect(arguments: Namespace, environment: Mapping[str, str] | None = None) -> Connection:
    """Connects by the options of `add_options`.

    Raises:
        CommandError: there is no kubeconfig.
    """
    try:
        settings, namespace = user_configuration(os.environ if environment is None else environment, arguments.context)
    except NoKubeconfig as error:
        raise CommandError(
            f"there is no cluster to connect to: {error}; set KUBECONFIG, or see whether 'kubectl version' works"
        ) from None
    return Connection(Client(settings), arguments.namespace or namespace)


def add_options(parser: ArgumentParser) -> None:
    """Adds the options of every command that connects to a cluster."""
    parser.add_argument("-n", "--namespace", help="the namespace (default: that of the kubeconfig's context)")
    parser.add_argument("--context", help="the kubeconfig's context (default: the current one)")

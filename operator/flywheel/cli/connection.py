"""The connection of a command to a cluster: by the user's kubeconfig, with the user's permissions; and to the reader and the model servers."""

import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace, _ActionsContainer
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flywheel.cli.errors import CommandError
from flywheel.client.controls import escape_controls
from flywheel.cluster.client import Client
from flywheel.cluster.credentials import NoKubeconfig, user_configuration
from flywheel.cluster.retries import USER_PAUSES
from flywheel.core.resource.api import Api, Manifest, Reference

if TYPE_CHECKING:
    from flywheel.client.workspace import Workspace

SELF_SUBJECT_REVIEW = Api("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews")
NAMESPACES = Api("", "v1", "Namespace", "namespaces")
FIELD_MANAGER = "flywheel-cli"
READER_OPTIONS = ("reader_url", "release_namespace", "service_account")


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
            raise CommandError(self.reference(api, name).describe_absence())
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
        raise CommandError(str(error)) from None
    return Connection(Client(settings, pauses=USER_PAUSES), arguments.namespace or namespace)


def default_namespace(environment: Mapping[str, str]) -> str | None:
    """Returns the namespace of the kubeconfig's current context; None without a kubeconfig."""
    try:
        return user_configuration(environment, None)[1]
    except NoKubeconfig:
        return None


def add_options(parser: ArgumentParser) -> None:
    """Adds the options of every command that connects to a cluster."""
    parser.add_argument("-n", "--namespace", help="the namespace (default: that of the kubeconfig's context)")
    parser.add_argument("--context", help="the kubeconfig's context (default: the current one)")


def add_release_option(parser: _ActionsContainer) -> None:
    """Adds `--release-namespace`, and its earlier name, which help does not show."""
    parser.add_argument(
        "--release-namespace",
        metavar="NAME",
        help="where Flywheel is installed (FLYWHEEL_RELEASE_NAMESPACE; default: flywheel-system)",
    )
    parser.add_argument("--flywheel-namespace", dest="release_namespace", help=SUPPRESS)


def add_reader_options(parser: ArgumentParser, title: str = "the reader") -> None:
    """Adds the options of every command that uses the reader, in a group with that title."""
    group = parser.add_argument_group(title)
    group.add_argument(
        "--reader-url",
        metavar="URL",
        help="its address (FLYWHEEL_READER_URL; default: through the API server's proxy)",
    )
    add_release_option(group)
    group.add_argument(
        "--service-account",
        metavar="[NS/]NAME",
        help="whose token is requested where yours does not do, as with a client certificate (FLYWHEEL_SERVICE_ACCOUNT)",
    )


def open_workspace(arguments: Namespace) -> "Workspace":
    """Connects by the options.

    Raises:
        CommandError: there is no kubeconfig.
        FlywheelError: the address of the reader cannot be used.
    """
    # Imported here, since the other commands need no client.
    from flywheel.client.session import Options, open_session
    from flywheel.client.workspace import Workspace

    connection = connect(arguments)
    given = Options(
        arguments.reader_url,
        arguments.release_namespace,
        arguments.service_account,
        getattr(arguments, "token_file", None),
        getattr(arguments, "audience", None),
    )
    session = open_session(connection.client, connection.namespace, given.with_environment())
    return Workspace(replace(session, reader=replace(session.reader, notify=_print_note)))


def _print_note(text: str) -> None:
    print(f"flywheel: {escape_controls(text)}", file=sys.stderr)

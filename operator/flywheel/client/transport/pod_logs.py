"""The log of a pod's main container by the Kubernetes API, with the rights of the user."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from flywheel.cluster.client import Client

READ_SECONDS = 60.0  # for the next bytes of a log that is not followed
CHUNK_BYTES = 64 << 10


def open_pod_log(
    cluster: "Client", namespace: str, pod: str, *, follow: bool, tail: int | None = None
) -> "BaseHTTPResponse":
    """Returns the response with the log, or with a refusal; the caller closes it.

    Raises:
        ApiError: there is no response.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/log"
    query = [("container", "main"), ("follow", str(follow).lower())]
    if tail is not None:
        query.append(("tailLines", str(tail)))
    return cluster.open("GET", path, query=query, read_seconds=None if follow else READ_SECONDS)


def read_chunks(response: "BaseHTTPResponse") -> Iterator[bytes]:
    """Yields the log as it arrives.

    Raises:
        HTTPError: the connection ended within it.
    """
    while chunk := response.read1(CHUNK_BYTES):
        yield chunk

"""Deletions, and how the store learns at once of a deletion or a conflict."""

from flywheel.cluster.apply import Writer
from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import Reference
from flywheel.engine.cache.store import Store


def refresh(client: Client, store: Store, reference: Reference) -> None:
    """Reads an object after a conflict, without waiting for the watch.

    Raises:
        ApiError: the request failed.
    """
    live, known = client.get(reference), store.get(reference)
    if live is not None:
        store.update_written(reference.api, live)
    elif known is not None:
        store.delete_written(reference, known["metadata"]["uid"])


def delete(client: Client, store: Store, writer: Writer, reference: Reference, uid: str) -> None:
    """Deletes the object of that uid.

    Raises:
        ApiError: the request was refused; on a conflict the store has been refreshed.
        NotLeading: the write was held back.
    """
    try:
        response = writer.delete(reference, uid)
    except ApiError as error:
        if error.conflict:
            refresh(client, store, reference)
        raise
    if response is None or response.get("kind") == "Status":
        store.delete_written(reference, uid)
    else:
        # A finalizer holds the object, which has its deletionTimestamp now.
        store.update_written(reference.api, response)

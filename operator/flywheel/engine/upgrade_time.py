"""When this installation was upgraded to a release whose results are bound to their Jobs (docs/store.md).

The chart makes a ConfigMap and keeps it for good. The API server records when it was created, which nobody can change afterwards.
"""

import logging
import time
from collections.abc import Callable

from flywheel.cluster.client import Client
from flywheel.cluster.errors import ApiError
from flywheel.core.resource.api import CONFIG_MAP, Reference
from flywheel.core.resource.names import UPGRADE_CONFIG_MAP

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


def read_upgrade_time(client: Client, namespace: str, sleep: Callable[[float], None] = time.sleep) -> str:
    """Returns the time in RFC 3339, or an empty text if it is not recorded or may not be read: no result of before counts then."""
    while True:
        try:
            found = client.get(Reference(CONFIG_MAP, namespace, UPGRADE_CONFIG_MAP))
        except ApiError as error:
            if not error.forbidden:
                logger.warning("the time of the upgrade cannot be read: %s", error)
                sleep(RETRY_SECONDS)
                continue
            found = None
        if found is None:
            logger.warning(
                "ConfigMap '%s' in namespace '%s' does not exist or may not be read, so results of earlier releases do not count",
                UPGRADE_CONFIG_MAP,
                namespace,
            )
            return ""
        return str(found["metadata"]["creationTimestamp"])

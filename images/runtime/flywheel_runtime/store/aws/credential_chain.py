"""Credentials of a pod that has no key: those of a workload identity (IRSA, EKS Pod Identity), a node or a profile.

The only importer of botocore, which finds and renews them. It costs 0.1 s and 14 MiB, so a pod with a key does not import it.
"""

from functools import cache
from typing import Any

from flywheel_runtime.contract.errors import AccessDenied, StoreError, StoreUnreachable, connection_problem
from flywheel_runtime.store.aws.signature import Credentials


def find_credentials(region: str) -> Credentials:
    """What botocore's chain finds first, renewed when it is about to expire. Raises StoreError."""
    from botocore import exceptions

    try:
        found = _session(region).get_credentials()
        if found is None:
            raise AccessDenied("NoCredentials", "there are no credentials")
        frozen = found.get_frozen_credentials()
    except exceptions.ClientError as error:
        raise AccessDenied(str(error.response.get("Error", {}).get("Code", "")), str(error)) from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError, OSError) as error:
        raise StoreUnreachable("Unreachable", connection_problem(error)) from error
    except exceptions.BotoCoreError as error:
        raise StoreError("Invalid", str(error)) from error
    return Credentials(frozen.access_key, frozen.secret_key, frozen.token)


@cache
def _session(region: str) -> Any:
    """The session whose calls for credentials go to this region."""
    import botocore.session

    session = botocore.session.Session()
    session.set_config_variable("region", region)
    return session

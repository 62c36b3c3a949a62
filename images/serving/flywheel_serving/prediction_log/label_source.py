"""Who posted a label, as the log has it: a monitor gives one source a share, and a person's name is nobody's business there."""

import hashlib

SERVICE_ACCOUNT = "system:serviceaccount:"
MAX_LENGTH = 400  # the longest name of a ServiceAccount has 22 + 63 + 1 + 253 characters
HEX_DIGITS = 16


def name_source(caller: str, namespace: str, service: str) -> str:
    """The source of the labels of `caller`, the user name of Kubernetes or the claim `sub`; empty if nobody was authenticated.

    A ServiceAccount has its name. Anybody else has a pseudonym: who knows the name can compute it (monitors do, for their trusted sources),
    and it is another one for each service.
    """
    if not caller or (caller.startswith(SERVICE_ACCOUNT) and len(caller) <= MAX_LENGTH):
        return caller
    return "user-" + hashlib.sha256(f"{namespace}/{service}\0{caller}".encode()).hexdigest()[:HEX_DIGITS]

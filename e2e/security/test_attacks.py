"""Each attack is refused with a message that names what is missing."""

import pytest

from e2e.kube import KubectlFailed
from e2e.namespace import Namespace
from e2e.security.attacks import ATTACKS, Attack, prepare


@pytest.fixture(scope="module")
def attacked(namespace: Namespace) -> Namespace:
    """The namespace with its users and with what they attack."""
    prepare(namespace)
    return namespace


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attack_is_refused(attacked: Namespace, attack: Attack) -> None:
    with pytest.raises(KubectlFailed) as refused:
        attack.attempt(attacked)

    assert attack.refusal in str(refused.value)

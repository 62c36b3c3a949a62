"""Removes each control in turn, and shows that the attacks which it stops succeed then, and fail again once it is back.

The whole cluster is without the control meanwhile, so nothing else may run on it. The exit code is 1 if an attack fails without its control,
which then was not what stopped it.
"""

import sys

from e2e.kube import KubectlFailed
from e2e.namespace import Namespace
from e2e.security.attacks import ATTACKS, Attack, prepare
from e2e.waiting import wait_until

SECONDS = 30  # for the API server to see a policy come or go


def main() -> int:
    namespace = Namespace("security")
    namespace.create()
    failed = 0
    try:
        prepare(namespace)
        for control in dict.fromkeys(each.control for each in ATTACKS):
            stopped = [each for each in ATTACKS if each.control == control]
            failed += sum(not _is_stopped(each, namespace) for each in stopped)
            with control.removed():
                failed += sum(not _succeeds(each, namespace) for each in stopped)
            failed += sum(not _is_stopped(each, namespace) for each in stopped)
    finally:
        namespace.delete(wait=False)
    print(f"{len(ATTACKS)} attacks, {failed} surprises")
    return 1 if failed else 0


def _succeeds(attack: Attack, namespace: Namespace) -> bool:
    try:
        wait_until(lambda: _refusal(attack, namespace) is None, SECONDS, lambda: str(_refusal(attack, namespace)))
    except TimeoutError as error:
        print(f"SURPRISE  '{attack}' fails although {attack.control.name} is removed: {error}", flush=True)
        return False
    print(f"ok        '{attack}' succeeds without {attack.control.name}", flush=True)
    return True


def _is_stopped(attack: Attack, namespace: Namespace) -> bool:
    try:
        wait_until(lambda: attack.refusal in (_refusal(attack, namespace) or ""), SECONDS)
    except TimeoutError:
        print(
            f"SURPRISE  '{attack}' is not stopped by {attack.control.name}: {_refusal(attack, namespace)}", flush=True
        )
        return False
    return True


def _refusal(attack: Attack, namespace: Namespace) -> str | None:
    try:
        attack.attempt(namespace)
    except KubectlFailed as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())

"""Removes each control in turn, and shows that what it stops succeeds then: `python3 -m e2e.security [code | source | cluster]`, by default all.

code     the tests of each control that is code (code_controls.py) fail in a process in which it is replaced
source   the tests of each control that is a piece of a source or of the chart (source_controls.py) fail in a copy of the checkout without it
cluster  the attacks succeed without the policy that stops them, and fail again once it is back. The whole cluster is without the policy
         meanwhile, so nothing else may run on it

The exit code is 1 if an attack fails without its control, which then was not what stopped it.
"""

import os
import subprocess
import sys

from e2e.cluster.paths import CHECKOUT
from e2e.kube import KubectlFailed
from e2e.namespace import Namespace
from e2e.security.attacks import ATTACKS, Attack, prepare
from e2e.security.code_controls import CODE_CONTROLS
from e2e.security.patched_copy import remove_source_controls
from e2e.security.removal import VARIABLE
from e2e.waiting import wait_until

SECONDS = 30  # for the API server to see a policy come or go


def main() -> int:
    removals = {"code": _remove_code_controls, "source": remove_source_controls, "cluster": _remove_policies}
    surprises = sum(removals[each]() for each in sys.argv[1:] or removals)
    return 1 if surprises else 0


def _remove_code_controls() -> int:
    """Returns the number of controls without which a test still passes."""
    surprises = 0
    for control in CODE_CONTROLS:
        for test in control.tests:
            words = (sys.executable, "-m", "pytest", "-p", "e2e.security.removal", "-q", "--timeout", "120", test)
            variables = os.environ | {VARIABLE: control.name}
            done = subprocess.run(words, cwd=CHECKOUT, env=variables, capture_output=True, text=True, timeout=600)
            fails = done.returncode == 1 and " failed" in done.stdout
            surprises += not fails
            finding = "fails" if fails else f"does not fail:\n{done.stdout[-2000:]}{done.stderr[-500:]}\n"
            print(f"{'ok       ' if fails else 'SURPRISE '} without '{control}' {test} {finding}", flush=True)
    print(f"{len(CODE_CONTROLS)} controls of the code, {surprises} surprises")
    return surprises


def _remove_policies() -> int:
    """Returns the number of attacks that fail without their control, or succeed with it."""
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
    return failed


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

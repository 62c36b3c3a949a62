"""`python3 -m flywheel_runtime audit`: check the records of every Model of a namespace; the keys of the store's Secret and FLYWHEEL_NAMESPACE in the environment."""

import os
import sys
from collections.abc import Mapping

from flywheel_runtime.audit import chain
from flywheel_runtime.contract.errors import Failure
from flywheel_runtime.store import installation
from flywheel_runtime.store.retry import Retry

PATIENCE_SECONDS = 15.0


def main(env: Mapping[str, str] = os.environ) -> int:
    """0: every record is as it was written. 1: one is not, and each finding is a line. 2: the store cannot be read."""
    try:
        store = installation.open_store(env, Retry(patience=PATIENCE_SECONDS))
        with installation.translate_errors(env, store):
            checked = [chain.check_chain(store, model) for model in chain.list_models(store)]
    except KeyError as error:
        sys.stderr.write(f"{error} is not set; set it to the namespace whose records are to be checked\n")
        return 2
    except Failure as failure:
        sys.stderr.write(f"{failure.reason}: {failure.message}\n")
        return 2
    for each in checked:
        state = "; ".join(each.findings) or "as they were written"
        sys.stdout.write(f"Model '{each.model}': {len(each.records)} records, {state}\n")
    return 1 if any(each.findings for each in checked) else 0

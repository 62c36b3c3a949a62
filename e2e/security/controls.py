"""Controls that stop attacks, and how each is removed for a moment."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from e2e import kube


@dataclass(frozen=True)
class Control:
    """What stops an attack. `removed` is a context manager that takes it away from the whole cluster until its block ends."""

    name: str
    removed: Callable[[], AbstractContextManager[None]]


def policy(name: str) -> Control:
    """A ValidatingAdmissionPolicy of the chart, which is removed with its binding."""
    return Control(f"policy {name}", lambda: without_policy(name))


@contextmanager
def without_bucket_policy() -> Iterator[None]:
    """Let every account of the store do everything, as one key for all namespaces did."""
    store, bucket = kube.store(), kube.bucket()
    before = store.get_bucket_policy(Bucket=bucket)["Policy"]
    everywhere = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    accounts = sorted({name for each in json.loads(before)["Statement"] for name in each["Principal"]["AWS"]})
    statement = {"Effect": "Allow", "Principal": {"AWS": accounts}, "Action": "s3:*", "Resource": everywhere}
    policy_text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    store.put_bucket_policy(Bucket=bucket, Policy=policy_text)
    try:
        yield
    finally:
        store.put_bucket_policy(Bucket=bucket, Policy=before)


@contextmanager
def without_policy(name: str) -> Iterator[None]:
    """Remove the binding of a policy, and create it again as it was."""
    sort = "validatingadmissionpolicybinding"
    binding = json.loads(kube.kubectl("get", sort, name, "--output", "json"))
    metadata = {
        key: binding["metadata"][key] for key in ("name", "labels", "annotations") if key in binding["metadata"]
    }
    kube.kubectl("delete", sort, name)
    try:
        yield
    finally:
        # As Helm's, whose next upgrade would otherwise conflict with the one who made it again.
        words = ("apply", "--server-side", "--field-manager", "helm", "--force-conflicts", "--filename", "-")
        kube.kubectl(*words, stdin=json.dumps({**binding, "metadata": metadata}))


BUCKET_POLICY = Control("the policy of the embedded store's bucket", without_bucket_policy)

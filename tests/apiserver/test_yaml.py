"""How kubectl reads YAML and CronJobs read schedules, asked of both, so that our reader and our CRDs do the same."""

import json
from collections.abc import Mapping

import pytest
import yaml

from tests.apiserver.manifests import Kubectl
from tests.yaml_scalars import AS_KUBECTL

pytestmark = pytest.mark.apiserver

SCHEDULES = (
    "0 2 * * *", "*/5 * * * *", "0 0,12 1-15/2 * 1-5", "0 3 * JAN-mar mon-FRI", "05 007 ? * ?", "0 3 29 2 *", "59 23 31 12 6", "* * * * sun,sat",
    "3/15 * * * *", "0  2\t* * *", " 0 2 * * * ", "@daily", "@hourly", "@yearly", "@every 1h", "@every 1h30m", "*/99 * * * *", "*,5 * * * *",
    "0 0 * * 7", "*/0 * * * *", "0 0 L * *", "60 * * * *", "* 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *", "0 0 * 0 *", "5-1 * * * *",
    "0 0 * * fri-mon", "0 0 * dec-jan *", "* * * *", "* * * * * *", "0 0 * * 5#2", "0 0 15W * *", "a * * * *", "-1 * * * *", "1--2 * * * *",
    "1/ * * * *", "1/2/3 * * * *", "@never", "@reboot", "@every", "@every 1 hour", "@Daily", "TZ=UTC 0 2 * * *", "0 2 * * mond", "1-2-3 * * * *",
)  # fmt: skip


@pytest.mark.parametrize(("text", "value"), AS_KUBECTL)
def test_kubectl_reads_a_plain_scalar_so(installed: Kubectl, text: str, value: object) -> None:
    lines = (
        "apiVersion: flywheel.ml/v1alpha1",
        "kind: Dataset",
        "metadata: {name: scalar}",
        "spec:",
        f"  target: {text}",
    )

    done = installed("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", stdin="\n".join(lines))

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["spec"].get("target")
    assert (found, type(found)) == (value, type(value))


def accepted(kubectl: Kubectl, manifest: Mapping[str, object]) -> bool:
    done = kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(manifest))
    assert done.returncode == 0 or "cron" in done.stderr or "schedule" in done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("cron", SCHEDULES)
def test_a_schedule_is_accepted_where_a_cronjob_accepts_it(installed: Kubectl, cron: str) -> None:
    pod = {"restartPolicy": "Never", "containers": [{"name": "tick", "image": "tick"}]}
    job = {"spec": {"template": {"spec": pod}}}
    metadata = {"name": "cron"}
    theirs = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": metadata,
        "spec": {"schedule": cron, "jobTemplate": job},
    }
    spec = {"source": {"s3": {"uri": "s3://flywheel/default/"}}, "schedule": {"cron": cron}}
    ours = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Dataset", "metadata": metadata, "spec": spec}

    assert accepted(installed, ours) == accepted(installed, theirs)


def test_the_message_says_what_a_schedule_is(installed: Kubectl) -> None:
    spec = {"source": {"s3": {"uri": "s3://flywheel/default/"}}, "schedule": {"cron": "0 0 * * 7"}}
    ours = {"apiVersion": "flywheel.ml/v1alpha1", "kind": "Dataset", "metadata": {"name": "cron"}, "spec": spec}

    refused = installed("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(ours))

    assert "cron must be what a CronJob takes" in refused.stderr

"""A trainer whose program is in the spec: one immutable ConfigMap for all trials, beside their Jobs."""

import hashlib
import json

import pytest

from flywheel.core.pods.source_file import SOURCE_PATH
from flywheel.core.resource.api import CONFIG_MAP, JOB, Manifest
from flywheel.core.resource.plan import Child
from flywheel.kinds.experiment.schema.immutable import fingerprint
from tests.kinds.experiment.situations import Search, experiment, succeeds

PROGRAM = "from flywheel_runtime import run\nrun.finish({'f1': 1})\n"


def container(source: str, **more: object) -> dict[str, object]:
    spec = {"container": {"image": "train:1", "source": source, **more}}
    return {"trainer": spec, "objective": {"metric": "f1"}, "budget": {"maxTrials": 2}}


def children(search: Search, api: object) -> list[Manifest]:
    return [each.manifest for each in search.plan.children or () if isinstance(each, Child) and each.api == api]


def main_of(job: Manifest) -> Manifest:
    found: Manifest = job["spec"]["template"]["spec"]["containers"][0]
    return found


def test_the_pods_mount_the_config_map_of_the_plan() -> None:
    search = Search(experiment(container(PROGRAM)), succeeds)
    search.reconcile()
    (source,), job = children(search, CONFIG_MAP), search.cluster.children(search.resource.uid, JOB)[0]

    assert (source["data"], source["immutable"]) == ({"train.py": PROGRAM}, True)
    volumes = {each["name"]: each for each in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["source"]["configMap"] == {"name": source["metadata"]["name"]}
    assert {"name": "source", "mountPath": SOURCE_PATH, "subPath": "train.py", "readOnly": True} in main_of(job)[
        "volumeMounts"
    ]


def test_the_config_map_comes_before_the_first_job() -> None:
    search = Search(experiment(container(PROGRAM)), succeeds)
    search.reconcile()

    assert [each.api for each in search.plan.children or ()][:2] == [CONFIG_MAP, JOB]


@pytest.mark.parametrize(
    ("more", "command", "args"),
    [
        pytest.param({}, ["python3", "-u", SOURCE_PATH], None, id="the image's python3 runs it"),
        pytest.param({"args": ["--fast"]}, ["python3", "-u", SOURCE_PATH], ["--fast"], id="with arguments"),
        pytest.param(
            {"command": ["torchrun", SOURCE_PATH]}, ["torchrun", SOURCE_PATH], None, id="a command of the user's"
        ),
    ],
)
def test_what_runs(more: dict[str, object], command: list[str], args: list[str] | None) -> None:
    search = Search(experiment(container(PROGRAM, **more)), succeeds)
    search.reconcile()
    main = main_of(search.cluster.children(search.resource.uid, JOB)[0])

    assert (main["command"], main.get("args")) == (command, args)


@pytest.mark.parametrize(
    ("code", "revision"),
    [
        pytest.param({}, f"sha256:{hashlib.sha256(PROGRAM.encode()).hexdigest()}", id="the digest of the file"),
        pytest.param({"code": {"revision": "9f8e7d6c"}}, "9f8e7d6c", id="the revision that the user named"),
    ],
)
def test_the_record_of_a_trial_says_which_code_ran(code: dict[str, object], revision: str) -> None:
    search = Search(experiment({**container(PROGRAM), **code}), succeeds)
    search.reconcile()
    job = search.cluster.children(search.resource.uid, JOB)[0]

    collect = job["spec"]["template"]["spec"]["initContainers"][0]
    config = next(each["value"] for each in collect["env"] if each["name"] == "FLYWHEEL_COLLECT")
    assert json.loads(config)["track"]["code"]["revision"] == revision


def test_another_source_is_another_search_with_another_config_map() -> None:
    one, other = experiment(container(PROGRAM)), experiment(container(f"{PROGRAM}\n"))
    searches = [Search(each, succeeds) for each in (one, other)]
    for search in searches:
        search.reconcile()

    names = {children(search, CONFIG_MAP)[0]["metadata"]["name"] for search in searches}
    assert len(names) == 2
    assert fingerprint(one.spec) != fingerprint(other.spec)


def test_the_config_map_stays_until_the_experiment_is_deleted() -> None:
    search = Search(experiment(container(PROGRAM)), lambda *_: {"metrics": {"f1": 0.5}})
    search.finish()

    assert len(search.cluster.children(search.resource.uid, CONFIG_MAP)) == 1


def test_a_trainer_without_source_has_no_config_map() -> None:
    search = Search(experiment(), succeeds)
    search.reconcile()

    assert children(search, CONFIG_MAP) == []

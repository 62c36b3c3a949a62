"""What the monitor's finding led to: a run of the pipeline, its version, the gates, and the champion that the Model chose."""

from typing import Any

from demo import monitor
from e2e import kube
from e2e.cluster.progress import announce
from e2e.waiting import wait_until

TRIGGER = "worse"  # of 4-pipeline.yaml
RUN_SECONDS, VERDICT_SECONDS = 300, 180
PRELIMINARY = ("NotReady", "Measuring")  # verdicts on a version that are not final


def wait_for_next_champion(namespace: str) -> None:
    """Wait until the run of the finding has ended, the Model has a final verdict on its version, and the champion is served."""
    run = wait_until(
        lambda: fired_run(_read("fwpipe", monitor.NAME, namespace), TRIGGER), 60, lambda: _why_not(namespace)
    )
    announce(f"trigger '{TRIGGER}' started TrainingRun {run}")
    wait_until(lambda: challenger(_read("fwrun", run, namespace)), RUN_SECONDS, lambda: _ended(run, namespace))
    wait_until(
        lambda: _is_decided(run, namespace),
        VERDICT_SECONDS,
        f"no verdict on the version of {run}, or the champion is not served",
    )


def show_loop(namespace: str) -> None:
    """Print found, run, version, gates and champion."""
    run = _read("fwrun", fired_run(_read("fwpipe", monitor.NAME, namespace), TRIGGER) or "", namespace)
    version = _read("fwver", challenger(run) or "", namespace)
    print("\n".join(describe_loop(run, version, _read("fwmodel", monitor.NAME, namespace))) + "\n")


def describe_loop(run: kube.Object, version: kube.Object, model: kube.Object) -> list[str]:
    """One line for each step from the finding to the champion. The version may have been held: the last line says which is champion."""
    cause, name = run["spec"]["cause"], version["metadata"]["name"]
    entries = version["status"].get("gates", {}).get("entries", [])
    champion = model["status"]["champion"]
    outcome = "took over from" if champion == name else "stays;"
    other = cause["version"] if champion == name else f"{name} is {_verdict(model, name)}"
    return [
        "What was found led to",
        f"  {'found':<9} {cause['message']}",
        f"  {'run':<9} {run['metadata']['name']}   {run['status']['result']}",
        f"  {'version':<9} {name}",
        *(f"  {'gate':<9} {_outcome(each)} {each['name']}: {each['message']}" for each in entries),
        f"  {'champion':<9} {champion} {outcome} {other}",
    ]


def _outcome(entry: dict[str, Any]) -> str:
    if entry.get("measured") is False:
        return "not measured"
    return "passed" if entry["passed"] else "failed"


def _verdict(model: kube.Object, version: str) -> str:
    candidates = model["status"].get("candidates") or ()
    return next((str(each["verdict"]) for each in candidates if each["version"] == version), "no candidate any more")


def _is_decided(run: str, namespace: str) -> bool | None:
    model = _read("fwmodel", monitor.NAME, namespace)
    version = challenger(_read("fwrun", run, namespace)) or ""
    service = _read("fwsvc", monitor.NAME, namespace)
    is_served = service["status"].get("version") == model["status"]["champion"]
    return (
        True
        if version in final_verdicts(model) and is_served and kube.condition(service)["reason"] == "Serving"
        else None
    )


def fired_run(pipeline: kube.Object, trigger: str) -> str | None:
    """The run that a trigger of the pipeline started last."""
    run: str | None = (_trigger(pipeline, trigger).get("fired") or {}).get("run")
    return run


def final_verdicts(model: kube.Object) -> set[str]:
    """The versions on which the Model has a final verdict."""
    candidates = model.get("status", {}).get("candidates") or ()
    return {each["version"] for each in candidates if each["verdict"] not in PRELIMINARY}


def challenger(run: kube.Object) -> str | None:
    """The version that a run registered."""
    version: str | None = (run.get("status", {}).get("challenger") or {}).get("version")
    return version


def _trigger(pipeline: kube.Object, name: str) -> dict[str, Any]:
    triggers = pipeline.get("status", {}).get("triggers") or ()
    return next((each for each in triggers if each["name"] == name), {})


def _why_not(namespace: str) -> str:
    skipped = _trigger(_read("fwpipe", monitor.NAME, namespace), TRIGGER).get("skipped") or {}
    return f"trigger '{TRIGGER}' of the pipeline has started no run: {skipped.get('reason')}: {skipped.get('message')}"


def _ended(run: str, namespace: str) -> str:
    return f"TrainingRun '{run}' has registered no version: {kube.condition(_read('fwrun', run, namespace)).get('message')}"


def _read(kind: str, name: str, namespace: str) -> kube.Object:
    return kube.get(kind, name, namespace) or {}

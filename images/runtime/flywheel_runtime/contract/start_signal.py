"""The last thing before main: its parameters, and the word that it may come."""

import json
from collections.abc import Mapping
from pathlib import Path

from flywheel_runtime.contract.paths import Paths


def write_params(env: Mapping[str, str], paths: Paths) -> None:
    """Write params.json, whole or not at all."""
    params = paths.params.with_name("params.json.part")
    params.write_text(merge_params(env), encoding="utf-8")
    params.rename(paths.params)


def signal_main(env: Mapping[str, str], paths: Paths, container: str) -> None:
    """Write the ids of the processes that live now, none of which is main's; if `container` is the last one before main."""
    if env.get("FLYWHEEL_LETS_IN", container) != container:
        return
    paths.fetched.parent.mkdir(parents=True, exist_ok=True)
    living = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    paths.fetched.write_text(json.dumps(living))


def merge_params(env: Mapping[str, str]) -> str:
    """The text of params.json: the step's, and in a pod for one of many items, that item's besides."""
    text = env.get("FLYWHEEL_PARAMS") or "{}"
    each = env.get("FLYWHEEL_EACH")
    if not each:
        return text
    return json.dumps({**json.loads(text), **json.loads(each)[int(env["FLYWHEEL_INDEX"])]}, sort_keys=True)

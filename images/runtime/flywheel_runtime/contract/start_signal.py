"""The last thing before main: its parameters, and the file that lets it start."""

import json
from collections.abc import Mapping

from flywheel_runtime.contract.paths import Paths


def write_params(env: Mapping[str, str], paths: Paths) -> None:
    """Write params.json, whole or not at all."""
    params = paths.params.with_name("params.json.part")
    params.write_text(merge_params(env), encoding="utf-8")
    params.rename(paths.params)


def signal_main(paths: Paths) -> None:
    """Create the file which says that main may start."""
    paths.fetched.parent.mkdir(parents=True, exist_ok=True)
    paths.fetched.touch()


def merge_params(env: Mapping[str, str]) -> str:
    """The text of params.json: the step's, and in a pod for one of many items, that item's besides."""
    text = env.get("FLYWHEEL_PARAMS") or "{}"
    each = env.get("FLYWHEEL_EACH")
    if not each:
        return text
    return json.dumps({**json.loads(text), **json.loads(each)[int(env["FLYWHEEL_INDEX"])]}, sort_keys=True)

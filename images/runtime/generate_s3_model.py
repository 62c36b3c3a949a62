"""Cut botocore's data down to what one bucket needs: `python images/runtime/generate_s3_model.py`, a part of `make generate`.

Each step pod starts two S3 clients. With all of botocore's data a client reads 3 MB of JSON and keeps 14 MiB of it; with
the files that are written here (flywheel_runtime/store/s3_model) it reads 70 KB. What is left is botocore's word for word,
but for documentation, which a client does not read.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.loaders import Loader

TARGET = Path(__file__).parent / "flywheel_runtime" / "store" / "s3_model"
OPERATIONS = (
    "AbortMultipartUpload", "CompleteMultipartUpload", "CreateBucket", "CreateMultipartUpload", "CreateSession", "DeleteObject", "GetObject",
    "HeadBucket", "HeadObject", "ListObjectsV2", "PutObject", "UploadPart",
)  # fmt: skip
# What store/s3_client.py sets for every client, so that rules which ask for anything else never apply.
FIXED = {
    "Accelerate": False,
    "ForcePathStyle": True,
    "UseDualStack": False,
    "UseFIPS": False,
    "UseObjectLambdaEndpoint": False,
    "UseS3ExpressControlEndpoint": False,
}


def pruned() -> dict[str, Any]:
    """The data by file name, without the folder."""
    loader = Loader()
    return {
        "service-2": prune_service(loader.load_service_model("s3", "service-2")),
        "endpoint-rule-set-1": prune_rules(loader.load_service_model("s3", "endpoint-rule-set-1")),
        "endpoints": prune_endpoints(loader.load_data("endpoints")),
    }


def prune_service(model: dict[str, Any]) -> dict[str, Any]:
    """The service model with OPERATIONS alone, and the shapes that they reach."""
    operations = {name: model["operations"][name] for name in OPERATIONS}
    reached: dict[str, Any] = {}
    waiting = list(_shape_names(operations))
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached[name] = model["shapes"][name]
            waiting += _shape_names(reached[name])
    parts = {"version": model["version"], "metadata": model["metadata"], "operations": operations, "shapes": reached}
    # botocore reads the documentation of these, and of these alone.
    return {**_without_documentation(parts), "clientContextParams": model["clientContextParams"]}


def prune_rules(rules: dict[str, Any]) -> dict[str, Any]:
    """The endpoint rules without those that FIXED rules out."""
    return {**rules, "rules": [rule for rule in map(_prune_rule, rules["rules"]) if rule is not None]}


def prune_endpoints(endpoints: dict[str, Any]) -> dict[str, Any]:
    """Every partition with its regions, and of its services S3 and the one that gives credentials for a service account."""
    partitions = [
        {**each, "services": {name: found for name, found in each["services"].items() if name in ("s3", "sts")}}
        for each in endpoints["partitions"]
    ]
    return {**endpoints, "partitions": partitions}


def _prune_rule(rule: dict[str, Any]) -> dict[str, Any] | None:
    if any(_is_false(condition) for condition in rule["conditions"]):
        return None
    if rule["type"] != "tree":
        return rule
    branches = [branch for branch in map(_prune_rule, rule["rules"]) if branch is not None]
    # A tree that is entered and ends without a result is an error, so one without branches stays.
    return {**rule, "rules": branches} if branches else rule


def _is_false(condition: dict[str, Any]) -> bool:
    """Whether a condition compares a fixed parameter with what it is not."""
    match condition:
        case {"fn": "booleanEquals", "argv": [{"ref": name}, bool(value)]} if name in FIXED:
            return FIXED[name] != value
        case _:
            return False


def _shape_names(node: Any) -> Iterator[str]:
    match node:
        case {"shape": str(name)}:
            yield name
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _shape_names(child)


def _without_documentation(node: Any) -> Any:
    match node:
        case dict():
            return {
                name: _without_documentation(value)
                for name, value in node.items()
                if name not in ("documentation", "documentationUrl") or not isinstance(value, str)
            }
        case list():
            return [_without_documentation(value) for value in node]
        case _:
            return node


def main() -> int:
    """Write the files; with `--check`, 1 if they are not what the installed botocore gives."""
    stale = []
    for name, data in pruned().items():
        text = json.dumps(data, separators=(",", ":"), sort_keys=False) + "\n"
        path = TARGET / f"{name}.json"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if "--check" not in sys.argv[1:]:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv[1:]:
        sys.stderr.write(f"{', '.join(stale)} of store/s3_model differ from botocore's; run `make generate`\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

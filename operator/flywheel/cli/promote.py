"""`flywheel promote`: writes a version as manifests for another namespace or cluster, to be committed to its Git repository.

There it is verified again: loaded in the serving image, golden rows replayed, gates evaluated. An approval is never promoted.
"""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel.cli.connection import Connection, connect
from flywheel.cli.errors import DONE, WRONG_USAGE, CommandError
from flywheel.cli.fields import drop_empty, get_field, pick_fields
from flywheel.cli.manifest_files import declare_metrics, declares_model, new_manifest, write_manifests
from flywheel.core.resource.api import MODEL, MODEL_VERSION, Manifest
from flywheel.core.resource.conditions import find_condition
from flywheel.core.resource.values import Sha256

DESCRIPTION = "Write a model's champion as manifests for another namespace or cluster, where it is verified again."
EXAMPLES = """\
examples:
  flywheel promote flight-delay --to ../production/models
  flywheel promote flight-delay --version flight-delay-3f9a1c2e --to ../production/models --target-namespace shop
  flywheel promote flight-delay --to ../production/models --source s3://models/flight-delay-3f9a1c2e.onnx --sha256 9b1c…

Without --source a trained version is named by its artifact's digest, which must be in the store's folder of the target namespace.
"""
FROM_ANNOTATION = "flywheel.ml/promoted-from"
LOCAL_MEASUREMENTS = ("p50_ms", "p95_ms", "size_bytes", "quantization_gap")  # which the target measures itself
MODEL_FILE = "model.onnx"  # the model's file in a served artifact (images/README.md, "A model artifact")


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel promote`."""
    parser.add_argument("model", metavar="MODEL", help="the Model")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to write into")
    parser.add_argument("--version", metavar="MODELVERSION", help="one of its versions (default: its champion)")
    parser.add_argument(
        "--target-namespace", metavar="NAMESPACE", help="the namespace in the manifests (default: none)"
    )
    parser.add_argument(
        "--source", metavar="S3_URI", help="where the target finds the file, such as s3://bucket/model.onnx"
    )
    parser.add_argument("--sha256", help="SHA-256 of that file ('sha256sum' prints it)")
    parser.add_argument("--secret", metavar="NAME", help="the target's Secret with the credentials of that bucket")
    parser.add_argument("--endpoint", help="the S3 endpoint, where it is not the target installation's; needs --secret")
    parser.add_argument("--force", action="store_true", help="overwrite files of other content")


def run(arguments: Namespace) -> int:
    """Writes the manifests."""
    place = _place(arguments)
    connection = connect(arguments)
    model = connection.require(MODEL, arguments.model)
    version = _version(connection, model, arguments.version)
    manifests = [promoted_version(version, place, arguments.target_namespace)]
    if not declares_model(arguments.to, arguments.model):
        manifests.insert(0, promoted_model(model, arguments.target_namespace))
    for path in write_manifests(manifests, arguments.to, force=arguments.force):
        print(f"{path} was written")
    print(_next_step(version, place))
    return DONE


def promoted_version(version: Manifest, place: Mapping[str, Any], namespace: str | None = None) -> dict[str, Any]:
    """Returns the ModelVersion for the target: content by digest, declared metrics, lineage; no approval, no status.

    `place`: `s3` and `sha256` of --source, or empty.
    """
    spec, status = version["spec"], version.get("status") or {}
    metadata, own = version["metadata"], spec.get("source") or {}
    # Whatever the name of the user's file, the artifact that verify packed for serving has the usual one.
    artifact = {"source": {"artifact": {"digest": status["digest"]}}, "path": MODEL_FILE}
    named = {"source": own} if "sha256" in own and not spec.get("quantize") else artifact
    lineage = spec.get("lineage")
    return new_manifest(
        MODEL_VERSION,
        metadata["name"],
        namespace,
        {
            **pick_fields(spec, "model", "format"),
            **({"source": dict(place)} if place else named),
            "metrics": _declared(status.get("metrics") or {}),
            "lineage": dict(lineage) if lineage else {},
            **pick_fields(spec, "resources", "imagePullSecrets"),
        },
        {FROM_ANNOTATION: f"{metadata['namespace']}/{metadata['name']}@{status['digest']}"},
    )


def promoted_model(model: Manifest, namespace: str | None = None) -> dict[str, Any]:
    """Returns the Model with its objective and gates. A pinned champion is a decision of the source, so it is left out."""
    spec = {key: value for key, value in model["spec"].items() if key != "champion"}
    return new_manifest(MODEL, model["metadata"]["name"], namespace, spec, {})


def _version(connection: Connection, model: Manifest, name: str | None) -> Manifest:
    """Returns a version that is verified, not archived and not rejected."""
    of_model = model["metadata"]["name"]
    arguments = name or get_field(model, "status", "champion")
    if arguments is None:
        why = find_condition(model, "Ready").get("message", "")
        raise CommandError(
            f"Model '{of_model}' has no champion to promote; name a version with --version. {why}".rstrip()
        )
    version = connection.require(MODEL_VERSION, arguments)
    if get_field(version, "spec", "model") != of_model:
        raise CommandError(
            f"ModelVersion '{arguments}' is of Model '{get_field(version, 'spec', 'model')}', not of '{of_model}'; name that one"
        )
    if get_field(version, "status", "digest") is None or get_field(version, "status", "verifiedAt") is None:
        why = find_condition(version, "Ready").get("message", "")
        raise CommandError(f"ModelVersion '{arguments}' is not verified, so it is promoted nowhere. {why}".rstrip())
    if get_field(version, "spec", "archived"):
        raise CommandError(f"ModelVersion '{arguments}' is archived; name another, or set its spec.archived to false")
    found = get_field(version, "status", "rejection", "message")
    if get_field(version, "status", "rejection") is not None:
        raise CommandError(
            f"ModelVersion '{arguments}' was rolled back: {found} Clear that first with annotation flywheel.ml/clear-rejection"
        )
    return version


def _place(arguments: Namespace) -> dict[str, Any]:
    """Returns `s3` and `sha256` of a ModelVersion's source, from --source and its options; empty without it."""
    if arguments.source is None:
        given = [name for name in ("sha256", "secret", "endpoint") if getattr(arguments, name) is not None]
        if given:
            raise CommandError(f"--{given[0]} needs --source", WRONG_USAGE)
        return {}
    if not re.fullmatch(r"s3://[^/]+/.*[^/]", arguments.source):
        raise CommandError(
            f"--source is '{arguments.source}'; give one file in a bucket, such as s3://models/delay.onnx", WRONG_USAGE
        )
    if arguments.endpoint is not None and arguments.secret is None:
        raise CommandError(
            "--endpoint names another store; give --secret too, the target's Secret with its credentials", WRONG_USAGE
        )
    if arguments.sha256 is None:
        raise CommandError(
            "--source needs --sha256, since an artifact's digest is not that of its file: 'sha256sum' of the file prints it, "
            "and so does the store's manifests/sha256/<the artifact's 64 digits>.json in the line of model.onnx",
            WRONG_USAGE,
        )
    try:
        sha256 = str(Sha256.parse(arguments.sha256))
    except ValueError as error:
        raise CommandError(f"--sha256: {error}", WRONG_USAGE) from None
    s3 = drop_empty({"uri": arguments.source, "endpoint": arguments.endpoint, "secretName": arguments.secret})
    return {"s3": s3, "sha256": sha256}


def _declared(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Returns the metrics that the spec declares: no local measurements."""
    return declare_metrics(
        {
            name: value
            for name, value in metrics.items()
            if name not in LOCAL_MEASUREMENTS and not name.startswith("fp32_")
        }
    )


def _next_step(version: Manifest, place: Mapping[str, Any]) -> str:
    digest = str(version["status"]["digest"])
    if place or "sha256" in (version["spec"].get("source") or {}):
        return "Commit what is new. The target verifies the version again before it may become champion."
    return (
        f"Commit what is new. The target finds the version by its artifact {digest}: its namespace's folder in its store must hold "
        f"manifests/sha256/{digest.removeprefix('sha256:')}.json and the blobs that this names; where it does not, copy them, or write "
        "the version anew with --source and --sha256."
    )

"""`flywheel import mlflow`: brings runs and ONNX models of an MLflow server as a table and as manifests.

It reads the server and writes files; it changes neither the server nor the cluster.
"""

import re
from argparse import ArgumentParser, Namespace
from pathlib import Path

from flywheel.cli.errors import DONE, FAILED, WRONG_USAGE, CommandError
from flywheel.cli.manifest_files import declares_model, write_manifests
from flywheel.cli.mlflow_import.model_manifests import (
    Destination,
    FoundModel,
    model_manifest,
    refuse_equal_names,
    source_of,
    version_manifest,
)
from flywheel.cli.mlflow_import.runs_table import write_runs

DESCRIPTION = "Write the runs and the registered ONNX models of an MLflow server as a table and as manifests."
EXAMPLES = """\
examples:
  flywheel import mlflow --tracking-uri https://mlflow.example --to imported
  flywheel import mlflow --tracking-uri sqlite:///mlflow.db --experiment delays --to imported --source s3://models/imported/ --secret acme
  kubectl apply -f imported/manifests

It needs the extra 'mlflow', in a checkout: pip install '.[mlflow]'. MLflow's own variables, such as MLFLOW_TRACKING_TOKEN, are its credentials.
DIR/runs.csv has one row for each run. DIR/models has each ONNX file, and DIR/manifests a Model and ModelVersions with their SHA-256.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel import`."""
    parser.add_argument("tool", choices=("mlflow",), help="what to import from")
    parser.add_argument("--tracking-uri", required=True, metavar="URI", help="the server, or its database")
    parser.add_argument("--registry-uri", metavar="URI", help="the model registry (default: the tracking URI)")
    parser.add_argument(
        "--experiment", action="append", default=[], metavar="NAME", help="only of this experiment; may be repeated"
    )
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder to write into")
    parser.add_argument(
        "--source",
        metavar="S3_URI",
        help="the folder of a bucket into which you copy DIR/models (default: the server's own files)",
    )
    parser.add_argument("--secret", metavar="NAME", help="the Secret with the credentials of that bucket")
    parser.add_argument("--endpoint", help="the S3 endpoint, where it is not AWS or the installation's; needs --secret")
    parser.add_argument("--namespace", metavar="NAMESPACE", help="the namespace in the manifests (default: none)")
    parser.add_argument("--force", action="store_true", help="overwrite manifests of other content")


def run(arguments: Namespace) -> int:
    """Writes the table, the models and the manifests."""
    destination = _destination(arguments)
    try:
        from flywheel.cli.mlflow_import.server import Server
    except ImportError as error:
        raise CommandError(
            f"module '{error.name}' is not installed; install the extra 'mlflow', "
            "in a checkout of Flywheel with: pip install '.[mlflow]'"
        ) from None
    server = Server(arguments.tracking_uri, arguments.registry_uri)
    arguments.to.mkdir(parents=True, exist_ok=True)
    experiments = server.experiments(arguments.experiment)
    count = write_runs(arguments.to / "runs.csv", server.runs(experiments))
    print(f"{arguments.to / 'runs.csv'} has {count} runs of {len(experiments)} experiments")
    found = server.onnx_models(experiments if arguments.experiment else None, arguments.to / "models")
    return _write(found, destination, arguments)


def _write(found: list[FoundModel], destination: Destination, arguments: Namespace) -> int:
    folder = arguments.to / "manifests"
    refuse_equal_names(found)
    manifests, missing = [], 0
    for model in found:
        source = source_of(model, destination)
        if source is None:
            missing += 1
            print(
                f"{model.title} has no manifest: pods cannot read its file where the server has it ({model.place}); copy {arguments.to / 'models'} into a bucket and name it with --source"
            )
            continue
        manifests.append(version_manifest(model, source, destination.namespace))
        new = model_manifest(model, destination.namespace)
        if new not in manifests and not declares_model(folder, model.object_name):
            manifests.insert(0, new)
    for path in write_manifests(manifests, folder, force=arguments.force):
        print(f"{path} was written")
    if manifests or not found:
        print(_next_step(found, destination, arguments))
    return FAILED if missing else DONE


def _next_step(found: list[FoundModel], destination: Destination, arguments: Namespace) -> str:
    if not found:
        return "The server has no registered ONNX model; models of other formats are not imported, since loading them can run code"
    copy = (
        f"'aws s3 cp --recursive {arguments.to / 'models'} {destination.folder}', then " if destination.folder else ""
    )
    return (
        f"next: {copy}'kubectl apply -f {arguments.to / 'manifests'}'; each version is verified before it may be served"
    )


def _destination(arguments: Namespace) -> Destination:
    if arguments.source is not None and not re.fullmatch(r"s3://[^/]+/(.*/)?", arguments.source):
        raise CommandError(
            f"--source is '{arguments.source}'; give a folder of a bucket, such as s3://models/imported/", WRONG_USAGE
        )
    if arguments.endpoint is not None and arguments.secret is None:
        raise CommandError(
            "--endpoint names another store; give --secret too, the Secret with its credentials", WRONG_USAGE
        )
    return Destination(arguments.source, arguments.secret, arguments.endpoint, arguments.namespace)

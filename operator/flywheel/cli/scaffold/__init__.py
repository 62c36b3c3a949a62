"""`flywheel init`: looks at a table, and writes commented manifests from its data to a service."""

import hashlib
import os
import re
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from flywheel.cli.connection import default_namespace
from flywheel.cli.errors import DONE, WRONG_USAGE, CommandError
from flywheel.cli.scaffold.csv_columns import TableSample, read_table
from flywheel.cli.scaffold.manifests import Draft, write_manifests

DESCRIPTION = "Look at a CSV file, and write commented manifests: Dataset, Experiment, Model and InferenceService."
EXAMPLES = """\
examples:
  flywheel init penguins.csv
  flywheel init penguins.csv --target species --namespace shop
  flywheel init penguins.csv --uri https://data.example.org/penguins.csv
  flywheel init penguins.csv --to - | kubectl apply -f -

Only the first 20,000 rows are looked at, on this machine. The check of the Dataset has the last word on types and task.
"""
# Of the embedded store, which the chart's default values have.
BUCKET = "flywheel"
STORE, STORE_PORT = "flywheel-store", 7070
MAX_NAME_CHARACTERS = 40


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel init`."""
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="the table, also as .csv.gz")
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict (default: guessed)")
    parser.add_argument("--name", help="the name of all four objects (default: that of the file)")
    parser.add_argument(
        "--uri",
        help=f"where the cluster finds the file: s3://… or https://… (default: s3://{BUCKET}/NAMESPACE/NAME/, in the embedded store)",
    )
    parser.add_argument("--to", metavar="FILE", help="the file to write; - prints it (default: NAME.yaml)")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument(
        "-n",
        "--namespace",
        help="the namespace whose folder has the data (default: that of the kubeconfig's current context)",
    )


def run(arguments: Namespace) -> int:
    """Writes the manifests, and prints what to do next."""
    name = arguments.name or object_name(arguments.file)
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) or len(name) > MAX_NAME_CHARACTERS:
        raise CommandError(
            f"--name {name}: use at most {MAX_NAME_CHARACTERS} of a-z, 0-9 and '-', with a letter or digit at both ends",
            WRONG_USAGE,
        )
    namespace, uri = arguments.namespace, arguments.uri
    if uri is None:
        namespace = namespace or _kubeconfig_namespace()
        uri = f"s3://{BUCKET}/{namespace}/{name}/"
    text = write_manifests(draft_manifests(arguments.file, name, uri, arguments.target))
    if arguments.to == "-":
        print(text, end="")
        return DONE
    path = Path(arguments.to or f"{name}.yaml")
    write_file(path, text, force=arguments.force)
    print(f"{path} was written. Next:")
    upload = (
        upload_to_store(arguments.file, uri, namespace) if arguments.uri is None else upload_to(arguments.file, uri)
    )
    for step in (*upload, *next_steps(name, path, namespace)):
        print(f"  {step}")
    return DONE


def draft_manifests(file: Path, name: str, uri: str, target: str | None = None) -> Draft:
    """Looks at the file, and returns what the manifests are to say."""
    table = read_table(file)
    column, why = (table.column(target), "--target names it") if target else table.guess_target()
    times = [
        each.name for each in table.columns if each.type == "Timestamp" and not each.missing and each is not column
    ]
    keys = [each.name for each in table.columns if each.is_key and each is not column]
    return Draft(name, file.name, source_of(file, uri), table, column, why, keys[:1], event_time(table, times))


def event_time(table: TableSample, times: list[str]) -> str | None:
    """Returns the only column of times; with several, a person has to choose."""
    return times[0] if len(times) == 1 and table.rows > 1 else None


def source_of(file: Path, uri: str) -> Mapping[str, Mapping[str, str]]:
    """Returns spec.source.

    Raises:
        CommandError: the URI is neither of S3 nor of HTTP.
    """
    if uri.startswith("s3://"):
        return {"s3": {"uri": uri}}
    if uri.startswith(("http://", "https://")):
        return {"http": {"url": uri, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}}
    raise CommandError(f"--uri {uri}: give s3://… or https://…", WRONG_USAGE)


def object_name(file: Path) -> str:
    """Returns a name for objects from that of a file: `Sales 2024.csv.gz` is `sales-2024`."""
    stem = file.name.removesuffix(".gz").rpartition(".")[0] or file.name
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:MAX_NAME_CHARACTERS].strip("-") or "table"


def write_file(path: Path, text: str, *, force: bool) -> None:
    """Writes the file.

    Raises:
        CommandError: it exists, or cannot be written.
    """
    if path.exists() and not force:
        raise CommandError(f"'{path}' exists; look at it, then overwrite it with --force, or choose another with --to")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"'{path}' cannot be written: {error.strerror}; choose another with --to") from None


def upload_to_store(file: Path, uri: str, namespace: str) -> list[str]:
    """Returns the commands that upload the file to the namespace's folder of the embedded store, with the namespace's own key."""
    from flywheel.client.session import Options

    release = shlex.quote(str(Options().with_environment(os.environ).release_namespace))
    secret = f"kubectl -n {shlex.quote(namespace)} get secret {STORE}"
    return [
        *(
            f"export {name}=\"$({secret} -o jsonpath='{{.data.{name}}}' | base64 -d)\""
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        ),
        f"kubectl -n {release} port-forward service/{STORE} {STORE_PORT} &",
        *upload_to(file, uri, f"--endpoint-url http://127.0.0.1:{STORE_PORT} "),
    ]


def upload_to(file: Path, uri: str, endpoint: str = "") -> list[str]:
    """Returns the command that uploads the file to a place in S3, or none for another place."""
    if not uri.startswith("s3://"):
        return []
    target = uri + file.name if uri.endswith("/") else uri
    return [f"aws {endpoint}s3 cp {shlex.quote(str(file))} {shlex.quote(target)}"]


def next_steps(name: str, path: Path, namespace: str | None) -> list[str]:
    """Returns the commands from the manifests to a prediction."""
    quoted, scope = shlex.quote(str(path)), f" -n {shlex.quote(namespace)}" if namespace else ""
    return [
        f"flywheel test -f {quoted}{scope}",
        f"kubectl apply -f {quoted}{scope}",
        f"flywheel status{scope} --watch",
        f"flywheel predict {name} -f rows.csv{scope}  # rows with the file's columns but the target and the keys",
    ]


def _kubeconfig_namespace() -> str:
    namespace = default_namespace(os.environ)
    if namespace is None:
        raise CommandError(
            "there is no kubeconfig whose namespace could be taken; name the namespace with -n, or the place of the file with --uri",
            WRONG_USAGE,
        )
    return namespace

"""`flywheel init`: looks at a table, and writes commented manifests from its data to a service."""

import hashlib
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

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
BUCKET = "flywheel"  # of the chart's default values
MAX_NAME_CHARACTERS = 40


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel init`."""
    parser.add_argument("file", type=Path, metavar="FILE.csv", help="the table, also as .csv.gz")
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict (default: guessed)")
    parser.add_argument("--name", help="the name of all four objects (default: that of the file)")
    parser.add_argument(
        "--uri", help="where the cluster finds the file: s3://… or https://… (default: the namespace's folder)"
    )
    parser.add_argument("--to", metavar="FILE", help="the file to write; - prints it (default: NAME.yaml)")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("-n", "--namespace", default="NAMESPACE", help="the namespace whose folder has the data")


def run(arguments: Namespace) -> int:
    """Writes the manifests, and prints what to do next."""
    name = arguments.name or object_name(arguments.file)
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) or len(name) > MAX_NAME_CHARACTERS:
        raise CommandError(
            f"--name {name}: use at most {MAX_NAME_CHARACTERS} of a-z, 0-9 and '-', with a letter or digit at both ends",
            WRONG_USAGE,
        )
    uri = arguments.uri or f"s3://{BUCKET}/{arguments.namespace}/{name}/"
    text = write_manifests(draft_manifests(arguments.file, name, uri, arguments.target))
    if arguments.to == "-":
        print(text, end="")
        return DONE
    path = Path(arguments.to or f"{name}.yaml")
    write_file(path, text, force=arguments.force)
    print(f"{path} was written. Next:")
    for step in next_steps(arguments.file, path, uri, arguments.namespace):
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


def next_steps(file: Path, path: Path, uri: str, namespace: str) -> list[str]:
    """Returns the commands from here to a prediction."""
    upload = (
        [f"aws s3 cp '{file}' {uri if not uri.endswith('/') else uri + file.name}"] if uri.startswith("s3://") else []
    )
    return [
        *upload,
        f"flywheel test -f {path} -n {namespace}",
        f"kubectl apply -f {path} -n {namespace}",
        f"flywheel status -n {namespace} --watch",
    ]

"""`flywheel predict`: rows of a file to the service that serves a model."""

import csv
import io
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel.cli.connection import add_reader_options, open_workspace
from flywheel.cli.errors import DONE, WRONG_USAGE, CommandError
from flywheel.cli.output import Column, print_csv, print_objects
from flywheel.client.predictor import CsvRows, Predictor, Rows, flatten_prediction
from flywheel.core.resource.api import INFERENCE_SERVICE

DESCRIPTION = "Predict the rows of a JSON or CSV file by the service that serves a model."
EXAMPLES = """\
examples:
  flywheel predict flight-delay -f rows.json
  flywheel predict flight-delay -f rows.csv -o csv > predictions.csv
  flywheel predict flight-delay -f - < rows.jsonl
  flywheel predict flight-delay -f rows.json --service-account web        a service with spec.auth.serviceAccount
  flywheel predict flight-delay -f rows.json --token-file token           a service with spec.auth.jwt

JSON is a list of objects, {"rows": [...]}, or one object on each line. CSV has a header and commas; the server reads its cells.
The service is reached through the API server's proxy, which needs the right to create services/proxy.
"""
FORMATS = ("table", "json", "yaml", "csv")
LIST_KEYS = ("rows", "instances", "dataframe_records")
MAX_FILE_BYTES = 1 << 30


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel predict`."""
    parser.add_argument("model", metavar="MODEL", help="the Model, whose champion's service predicts")
    parser.add_argument(
        "-f", "--filename", required=True, metavar="FILE", help="a .json, .jsonl or .csv file; - is standard input"
    )
    parser.add_argument(
        "--service", metavar="NAME", help="this InferenceService (default: the only one that serves the model)"
    )
    parser.add_argument(
        "--format", choices=("json", "csv"), help="of the file (default: by its name, JSON for standard input)"
    )
    parser.add_argument("--token-file", metavar="FILE", help="a token for the service (FLYWHEEL_TOKEN_FILE)")
    parser.add_argument(
        "--audience",
        metavar="NAME",
        help="of the token of --service-account, where the service shares one with others (default: the service's own)",
    )
    parser.add_argument(
        "-o", "--output", choices=FORMATS, default=FORMATS[0], help=f"how to print (default: {FORMATS[0]})"
    )
    add_reader_options(parser)


def run(arguments: Namespace) -> int:
    """Prints one prediction for each row."""
    rows = read_rows(arguments.filename, arguments.format)
    predictions = find_predictor(arguments).predict_rows(rows)
    flat = [flatten_prediction(each) for each in predictions]
    names = list(dict.fromkeys(name for row in flat for name in row))
    if arguments.output == "csv":
        print_csv(flat, names)
        return DONE
    columns = [Column(name, name, right=isinstance(flat[0].get(name), (int, float))) for name in names]
    document = {"predictions": predictions}
    print_objects(flat, columns, output=arguments.output, empty="the file has no rows", document=document)
    return DONE


def find_predictor(arguments: Namespace) -> Predictor:
    """Returns the service that predicts."""
    workspace = open_workspace(arguments)
    if arguments.service is not None:
        service = workspace.session.require(INFERENCE_SERVICE, arguments.service)
        return workspace.session.predictor(service, is_named=True)
    return workspace.model(arguments.model).predictor()


def read_rows(filename: str, given: str | None) -> Rows | CsvRows:
    """Returns the rows of a file.

    Raises:
        CommandError: it cannot be read, or is in none of the forms.
    """
    try:
        raw = sys.stdin.buffer.read(MAX_FILE_BYTES + 1) if filename == "-" else Path(filename).read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{filename} cannot be read: {error.strerror}", WRONG_USAGE) from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{filename} is not UTF-8 (byte {error.start}); convert it", WRONG_USAGE) from None
    if len(raw) > MAX_FILE_BYTES:
        raise CommandError(f"{filename} has more than 1 GiB; use a BatchInference", WRONG_USAGE)
    if (given or ("csv" if filename.lower().endswith(".csv") else "json")) == "csv":
        return parse_csv(text, filename)
    return parse_json(text, filename)


def parse_csv(text: str, filename: str) -> CsvRows:
    """Returns the rows of CSV with a header, whose cells stay texts.

    Raises:
        CommandError: there is no header, or a row has another number of cells.
    """
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error as error:
        raise CommandError(f"{filename} is no CSV: {error}", WRONG_USAGE) from None
    if not lines:
        raise CommandError(f"{filename} is empty; its first line must name the columns", WRONG_USAGE)
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(lines[0]):
            raise CommandError(
                f"{filename}: row {number} has {len(line)} cells, the header {len(lines[0])}; correct it", WRONG_USAGE
            )
    return CsvRows(lines[0], lines[1:])


def parse_json(text: str, filename: str) -> Rows:
    """Returns the rows of a JSON document, or of one object on each line.

    Raises:
        CommandError: it is no JSON, or holds something else than objects.
    """
    try:
        found: Any = json.loads(text)
    except ValueError as whole:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise CommandError(f"{filename} is no JSON: {whole}", WRONG_USAGE) from None
    if isinstance(found, Mapping):
        found = next((found[key] for key in LIST_KEYS if isinstance(found.get(key), list)), [found])
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise CommandError(
            f'{filename} must hold a list of objects, one for each row, such as [{{"month": 1}}]', WRONG_USAGE
        )
    return found

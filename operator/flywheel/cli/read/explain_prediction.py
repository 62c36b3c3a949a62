"""`flywheel why`: one logged prediction, replayed, with its reasons; as a receipt that can be checked without the cluster."""

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from flywheel.cli.connection import add_reader_options, open_workspace
from flywheel.cli.errors import DONE, FAILED, WRONG_USAGE, CommandError
from flywheel.cli.read.moments import parse_moment
from flywheel.cli.read.receipt_text import print_findings, print_receipt
from flywheel.client.controls import escape_lines

DESCRIPTION = "Explain one logged prediction: inputs, answer, contributions, and the version with its gates, approval and audit records; answered again by the stored model."
EXAMPLES = """\
examples:
  flywheel why 3f12b3b13160-1c8a4f2-7                  the id is 'id' in the service's response
  flywheel why order-4711 --around 2026-11-29T12:00Z   an id that the client chose does not say when its request was
  flywheel why 3f12b3b13160-1c8a4f2-7 --to receipt.json
  flywheel why --check receipt.json --model flight-delay-3f9a1c2e     without the cluster
  flywheel why --check receipt.json --head 5e0c2a9b…   the audit record's SHA-256 that you kept

It needs the verb read-data (ClusterRole flywheel-data-reader) on the service, and on the version for the replay.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel why`."""
    parser.add_argument("id", nargs="?", metavar="PREDICTION-ID", help="the id in the response to the request")
    parser.add_argument("--service", metavar="NAME", help="the InferenceService (default: all that log predictions)")
    parser.add_argument("--row", type=int, default=0, metavar="N", help="the row of the request, from 0 (default: 0)")
    parser.add_argument(
        "--around",
        type=parse_moment,
        metavar="TIME",
        help="when the request was, to the hour: 6h ago, or 2026-11-29T12:00:00Z",
    )
    parser.add_argument("--no-replay", action="store_true", help="do not download the model and answer the row again")
    parser.add_argument("--to", type=Path, metavar="FILE", help="write the receipt")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print (default: text)")
    check = parser.add_argument_group("checking a receipt, without the cluster")
    check.add_argument("--check", type=Path, metavar="FILE", help="the receipt")
    check.add_argument("--model", type=Path, metavar="PATH", help="the version's files, or its model.onnx")
    check.add_argument("--head", metavar="SHA256", help="of an audit record that you kept")
    add_reader_options(parser)


def run(arguments: Namespace) -> int:
    """Prints what is known, or checks a receipt."""
    if (arguments.check is None) == (arguments.id is None):
        raise CommandError("give the id of a prediction, or the receipt to --check, and not both", WRONG_USAGE)
    return _check(arguments) if arguments.check is not None else _explain(arguments)


def _explain(arguments: Namespace) -> int:
    if arguments.model is not None or arguments.head is not None:
        raise CommandError("--model and --head belong to --check", WRONG_USAGE)
    receipt = open_workspace(arguments).why(
        arguments.id,
        service=arguments.service,
        row=arguments.row,
        around=arguments.around,
        replay=not arguments.no_replay,
    )
    text = receipt.to_json()
    if arguments.to is not None:
        _write(arguments.to, text)
    if arguments.output == "json":
        # A file has the text as it is; a terminal is not to obey what others have written.
        print(escape_lines(text) if sys.stdout.isatty() else text, end="")
        return DONE
    print_receipt(receipt)
    if arguments.to is not None:
        print(f"\n{arguments.to} was written; 'flywheel why --check {arguments.to}' checks it without the cluster")
    return DONE


def _check(arguments: Namespace) -> int:
    # Imported here, since a command without --check needs none of it.
    from flywheel.client.receipts.document import MAX_BYTES, parse_receipt
    from flywheel.client.receipts.receipt_check import check_receipt

    try:
        if arguments.check.stat().st_size > MAX_BYTES:
            raise CommandError(f"'{arguments.check}' has more than {MAX_BYTES:,} bytes, which no receipt has")
        text = arguments.check.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"'{arguments.check}' cannot be read: {error}") from None
    file = parse_receipt(text, str(arguments.check))
    findings = check_receipt(file, model=arguments.model, head=arguments.head)
    print_findings(file.receipt, findings)
    return FAILED if any(each.state == "Fails" for each in findings) else DONE


def _write(path: Path, text: str) -> None:
    """Writes a receipt for its user's eyes alone, since it has values of the data."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise CommandError(f"'{path}' cannot be written: {error.strerror}; choose another --to") from None

"""`flywheel export`: what is known of one version, as a model card, a CycloneDX ML-BOM or JSON.

facts (from the API server) ─▶ card | bom | json, each with a digest of its content ─▶ check: the file against the cluster
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from flywheel.cli.connection import connect
from flywheel.cli.errors import DONE, FAILED, WRONG_USAGE, CommandError
from flywheel.cli.export import bom, card, model_facts_json
from flywheel.cli.export.check import compare, is_unmodified, parse_document
from flywheel.cli.export.facts import fetch_facts
from flywheel.client.controls import escape_controls, escape_lines

DESCRIPTION = "Write what is known of a ModelVersion: a model card, a CycloneDX ML-BOM, or JSON; or check such a file."
EXAMPLES = """\
examples:
  flywheel export flight-delay-3f9a1c2e --format card --to MODEL_CARD.md
  flywheel export flight-delay-3f9a1c2e --format bom --to bom.json
  flywheel export --check bom.json        was it modified, and does it match the cluster?
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel export`."""
    parser.add_argument("version", nargs="?", metavar="MODELVERSION", help="the ModelVersion")
    parser.add_argument(
        "--format", choices=("card", "bom", "json"), default="card", help="what to write (default: card)"
    )
    parser.add_argument("--to", type=Path, metavar="FILE", help="the file to write (default: stdout)")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare an exported file with the cluster")


def run(arguments: Namespace) -> int:
    """Writes a document, or checks one."""
    if (arguments.check is None) == (arguments.version is None):
        raise CommandError("name the ModelVersion to export, or the file to --check, and not both", WRONG_USAGE)
    if arguments.check is not None:
        return _check(arguments)
    text = render(arguments.format, fetch_facts(connect(arguments), arguments.version))
    if arguments.to is None:
        # A file has the text as it is; a terminal is not to obey what others have written.
        print(escape_lines(text) if sys.stdout.isatty() else text, end="")
        return DONE
    try:
        arguments.to.write_text(text)
    except OSError as error:
        raise CommandError(f"'{arguments.to}' cannot be written: {error.strerror}; choose another --to") from None
    print(f"{arguments.to} was written: {arguments.format} of ModelVersion '{arguments.version}'")
    return DONE


def render(form: str, facts: dict[str, Any]) -> str:
    """Returns the document of that form; the same facts give the same bytes."""
    return {"card": card.document, "bom": bom.document, "json": model_facts_json.document}[form](facts)


def _check(arguments: Namespace) -> int:
    try:
        text = arguments.check.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"'{arguments.check}' cannot be read: {error}") from None
    document = parse_document(text, str(arguments.check))
    if arguments.namespace is None:
        arguments.namespace = document.namespace
    try:
        now = render(document.form, fetch_facts(connect(arguments), document.version))
    except CommandError as error:
        state = "is unmodified" if is_unmodified(document) else "was modified after its export"
        raise CommandError(f"'{arguments.check}' {state}, and cannot be compared with the cluster: {error}") from None
    findings = compare(document, parse_document(now, "the cluster"))
    for finding in findings:
        print(escape_controls(finding))
    if findings:
        return FAILED
    print(f"{arguments.check} is unmodified, and matches the cluster's ModelVersion '{document.version}'")
    return DONE

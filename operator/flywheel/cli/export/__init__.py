"""`flywheel export`: what is known of one version, as a model card, a CycloneDX ML-BOM or plain JSON.

facts (from the API server) ─▶ card | bom | json, each sealed by a digest over its content ─▶ check: the file against the cluster
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.cli.errors import DONE, FAILED, WRONG_USAGE, CommandError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = "Write what is known of a ModelVersion: a model card, a CycloneDX ML-BOM, or JSON; or check such a file."
EXAMPLES = """\
examples:
  flywheel export flight-delay-3f9a1c2e --format card --to MODEL_CARD.md
  flywheel export flight-delay-3f9a1c2e --format bom --to bom.json
  flywheel export --check bom.json        was it changed, and does the cluster still say the same?
"""


def add(commands: "_SubParsersAction[ArgumentParser]") -> None:
    """The command line of `flywheel export`."""
    from flywheel.cli.connection import add_options
    from flywheel.cli.parser import add_command

    parser = add_command(commands, "export", DESCRIPTION, EXAMPLES)
    parser.add_argument("version", nargs="?", metavar="MODELVERSION", help="the ModelVersion")
    parser.add_argument("--format", choices=("card", "bom", "json"), default="card", help="what to write (card)")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where to; absent, to the terminal")
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare an exported file with the cluster")
    add_options(parser)
    parser.set_defaults(run=run)


def run(chosen: Namespace) -> int:
    """Write, or check."""
    from flywheel.cli.connection import connect

    if (chosen.check is None) == (chosen.version is None):
        raise CommandError("name the ModelVersion to export, or the file to --check, and not both", WRONG_USAGE)
    if chosen.check is not None:
        return _check(chosen)
    text = render(chosen.format, _facts(connect(chosen), chosen.version))
    if chosen.to is None:
        print(text, end="")
        return DONE
    try:
        chosen.to.write_text(text)
    except OSError as error:
        raise CommandError(f"'{chosen.to}' cannot be written: {error.strerror}; choose another --to") from None
    print(f"{chosen.to} is written: {chosen.format} of ModelVersion '{chosen.version}'")
    return DONE


def render(form: str, facts: dict[str, Any]) -> str:
    """The document of that form; the same facts give the same bytes."""
    from flywheel.cli.export import bom, card, model_facts_json

    return {"card": card.document, "bom": bom.document, "json": model_facts_json.document}[form](facts)


def _facts(connection: Any, version: str) -> dict[str, Any]:
    from flywheel.cli.export.facts import fetch_facts

    return fetch_facts(connection, version)


def _check(chosen: Namespace) -> int:
    from flywheel.cli.connection import connect
    from flywheel.cli.export.check import compare, is_unmodified, parse_document

    try:
        text = chosen.check.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"'{chosen.check}' cannot be read: {error}") from None
    document = parse_document(text, str(chosen.check))
    if chosen.namespace is None:
        chosen.namespace = document.namespace
    try:
        now = render(document.form, _facts(connect(chosen), document.version))
    except CommandError as failure:
        found = "is as it was exported" if is_unmodified(document) else "was changed after it was exported"
        raise CommandError(f"'{chosen.check}' {found}, and cannot be compared with the cluster: {failure}") from None
    findings = compare(document, parse_document(now, "the cluster"))
    for finding in findings:
        print(finding)
    if findings:
        return FAILED
    print(f"{chosen.check} is whole, and says what the cluster says of ModelVersion '{document.version}'")
    return DONE

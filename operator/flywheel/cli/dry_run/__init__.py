"""`flywheel test`: would the cluster accept a manifest, and every object that it leads to? Nothing is written and nothing runs.

manifest ─▶ dry run (rules, defaults) ─▶ rowwise_check.py (features by SQL)
                                      └▶ the kind's preview, or its first plan ─▶ dry run of each child, and of its pod
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import yaml

from flywheel.cli.connection import connect
from flywheel.cli.dry_run.simulation import Simulation
from flywheel.cli.errors import DONE, FAILED, CommandError
from flywheel.cli.yaml_text import load_yaml_documents
from flywheel.client.controls import escape_controls

DESCRIPTION = "Ask the API server whether it would accept a manifest and every Job and other object that it leads to. Nothing is created, nothing runs."
EXAMPLES = """\
examples:
  flywheel test -f pipeline.yaml
  helm template . | flywheel test -f - -n shop

Files are read as kubectl reads them. Pods are tested as well, since Pod Security, quotas and service accounts would otherwise fail only when a Job starts.
"""

SUFFIXES = (".json", ".yaml", ".yml")  # of files in a folder, as for kubectl


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel test`."""
    parser.add_argument(
        "-f",
        "--filename",
        "--file",
        dest="files",
        required=True,
        action="append",
        metavar="FILE",
        help="a file or a folder of manifests, as YAML or JSON; - reads stdin; may be repeated",
    )
    parser.add_argument("-R", "--recursive", action="store_true", help="read folders below the folder, too")


def run(arguments: Namespace) -> int:
    """Tests the manifests and prints one line for each object."""
    manifests = [each for name in arguments.files for each in read_manifests(name, recursive=arguments.recursive)]
    simulation = Simulation(connect(arguments), manifests)
    tested = refused = 0
    for result in simulation.results():
        tested, refused = tested + result.tested, refused + (result.refusal is not None)
        print(escape_controls(result.line()), flush=True)
    print(f"{tested} object{'' if tested == 1 else 's'} tested, {refused} refused; nothing was created")
    return FAILED if refused else DONE


def read_manifests(name: str, *, recursive: bool = False) -> list[dict[str, Any]]:
    """Returns the manifests of a file, of a folder's files, or of stdin where it is `-`. The items of a List are manifests.

    Raises:
        CommandError: it cannot be read, or has no manifest.
    """
    found: list[dict[str, Any]] = []
    for path in _paths(name, recursive=recursive):
        for one in _read_documents(path):
            if not isinstance(one, dict) or not isinstance(one.get("kind"), str):
                raise CommandError(
                    f"'{path}' has a document without kind or metadata.name; each document between '---' must be a manifest"
                )
            found += one["items"] if one["kind"].endswith("List") and isinstance(one.get("items"), list) else [one]
    for one in found:
        if not (isinstance(one, dict) and isinstance(one.get("kind"), str) and _has_name(one)):
            raise CommandError(
                f"'{name}' has a document without kind or metadata.name; each document between '---' must be a manifest"
            )
    if not found:
        raise CommandError(f"'{name}' has no manifest")
    return found


def _paths(name: str, *, recursive: bool) -> list[str]:
    """Returns the files that kubectl would read: of a folder those with its endings, by name."""
    folder = Path(name)
    if name == "-" or not folder.is_dir():
        return [name]
    files = folder.rglob("*") if recursive else folder.glob("*")
    return [str(each) for each in sorted(files) if each.suffix in SUFFIXES and each.is_file()]


def _read_documents(name: str) -> list[Any]:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
        return [one for one in load_yaml_documents(text) if one is not None]
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"'{name}' cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise CommandError(f"'{name}' is not YAML: {error}") from None


def _has_name(manifest: dict[str, Any]) -> bool:
    """Returns whether there is a name, or a generateName, which a TrainingRun may have."""
    metadata = manifest.get("metadata")
    return isinstance(metadata, dict) and any(isinstance(metadata.get(key), str) for key in ("name", "generateName"))

"""`flywheel test`: would the cluster accept a manifest, and every object that it leads to? Nothing is written and nothing runs.

manifest ─▶ dry run (rules, defaults) ─▶ the kind's preview, or its first plan ─▶ dry run of each child, and of its pod
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

DESCRIPTION = "Ask the API server whether it would accept a manifest and every Job and other object that it leads to. Nothing is created, nothing runs."
EXAMPLES = """\
examples:
  flywheel test -f pipeline.yaml
  helm template . | flywheel test -f - -n shop

Pods are tested as well, since Pod Security, quotas and service accounts would otherwise fail only when a Job starts.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Adds the arguments of `flywheel test`."""
    parser.add_argument("-f", "--file", required=True, metavar="FILE", help="the manifests; - reads stdin")


def run(arguments: Namespace) -> int:
    """Tests the manifests and prints one line for each object."""
    manifests = read_manifests(arguments.file)
    simulation = Simulation(connect(arguments), manifests)
    tested = refused = 0
    for result in simulation.results():
        tested, refused = tested + result.tested, refused + (result.refusal is not None)
        print(result.line(), flush=True)
    print(f"{tested} object{'' if tested == 1 else 's'} tested, {refused} refused; nothing was created")
    return FAILED if refused else DONE


def read_manifests(name: str) -> list[dict[str, Any]]:
    """Returns the manifests of a file, or of stdin where it is `-`.

    Raises:
        CommandError: it cannot be read, or has no manifest.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        found = [one for one in load_yaml_documents(text) if one is not None]
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"'{name}' cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise CommandError(f"'{name}' is not YAML: {error}") from None
    for one in found:
        if not (isinstance(one, dict) and isinstance(one.get("kind"), str) and _has_name(one)):
            raise CommandError(
                f"'{name}' has a document without kind or metadata.name; each document between '---' must be a manifest"
            )
    if not found:
        raise CommandError(f"'{name}' has no manifest")
    return found


def _has_name(manifest: dict[str, Any]) -> bool:
    """Returns whether there is a name, or a generateName, which a TrainingRun may have."""
    metadata = manifest.get("metadata")
    return isinstance(metadata, dict) and any(isinstance(metadata.get(key), str) for key in ("name", "generateName"))

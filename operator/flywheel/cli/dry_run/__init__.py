"""`flywheel test`: would the cluster take a manifest, and every object that it leads to? Nothing is written and nothing runs.

manifest ─▶ dry run (rules, defaults) ─▶ the kind's preview, or observe and decide on a stage ─▶ dry run of each child, and of its pod
"""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flywheel.cli.errors import DONE, FAILED, CommandError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

DESCRIPTION = "Ask the API server whether it would take a manifest and every Job and other object that it leads to. Nothing is made, nothing runs."
EXAMPLES = """\
examples:
  flywheel test -f pipeline.yaml
  helm template . | flywheel test -f - -n shop

Pods are asked about as well: Pod Security, quotas and service accounts would else be found out only when a Job starts.
"""


def add(commands: "_SubParsersAction[ArgumentParser]") -> None:
    """The command line of `flywheel test`."""
    from flywheel.cli.connection import add_options
    from flywheel.cli.parser import add_command

    parser = add_command(commands, "test", DESCRIPTION, EXAMPLES)
    parser.add_argument("-f", "--file", required=True, metavar="FILE", help="the manifests; - is what comes in")
    add_options(parser)
    parser.set_defaults(run=run)


def run(chosen: Namespace) -> int:
    """Ask, and tell the answers."""
    from flywheel.cli.connection import connect
    from flywheel.cli.dry_run.simulation import Simulation

    manifests = read_manifests(chosen.file)
    rehearsal = Simulation(connect(chosen), manifests)
    asked = refused = 0
    for answer in rehearsal.answers():
        asked, refused = asked + answer.asked, refused + (answer.refusal is not None)
        print(answer.line(), flush=True)
    print(f"{asked} object{'' if asked == 1 else 's'} asked about, {refused} refused; nothing was made")
    return FAILED if refused else DONE


def read_manifests(name: str) -> list[dict[str, Any]]:
    """The manifests of a file, or of stdin where it is `-`.

    Raises:
        Failure: it cannot be read, or holds no manifest.
    """
    import yaml

    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        found = [one for one in yaml.safe_load_all(text) if one is not None]
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"'{name}' cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise CommandError(f"'{name}' is not YAML: {error}") from None
    for one in found:
        if not (isinstance(one, dict) and isinstance(one.get("kind"), str) and _name(one)):
            raise CommandError(
                f"'{name}' holds something without kind or metadata.name; each part between '---' must be a manifest"
            )
    if not found:
        raise CommandError(f"'{name}' holds no manifest")
    return found


def _name(manifest: dict[str, Any]) -> bool:
    """A run may have a generateName, since everybody makes many of it."""
    metadata = manifest.get("metadata")
    return isinstance(metadata, dict) and any(isinstance(metadata.get(key), str) for key in ("name", "generateName"))

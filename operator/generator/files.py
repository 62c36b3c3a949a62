"""Writes all files that are generated from the code: `python -m generator`, or checks them with `--check`.

CRDs, the chart's copies of them, the chart's permission rules, the API reference, and Argo CD's health checks.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from flywheel.cli.yaml_text import dump_yaml
from flywheel.core.resource.kind import AnyKind
from flywheel.engine import discover
from generator import rbac
from generator.crd import crd_manifest
from generator.health import CONFIG_MAP_PATH, config_map_patch, health_script, script_path
from generator.reference import reference_pages

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = "make generate"
COMMAND_NOTE = f"Written by '{COMMAND}' from the code; do not edit."
HEADER = f"# {COMMAND_NOTE}\n"
CRD_FOLDERS = ("crds", "charts/flywheel/files/crds")
# Folders in which no file is written by hand.
GENERATED_ALONE = (*(f"{folder}/*.yaml" for folder in CRD_FOLDERS), "docs/reference/*.md")
MAX_CRD_BYTES = 170_000  # of one CRD; kubectl's client-side apply allows 262,144


def generated_files(kinds: Iterable[AnyKind]) -> dict[str, str]:
    """Returns the content of all generated files, by path in the checkout."""
    kinds = tuple(kinds)
    written: dict[str, str] = {}
    for kind in kinds:
        text = HEADER + dump_yaml(crd_manifest(kind))
        if len(text.encode()) > MAX_CRD_BYTES:
            raise ValueError(
                f"The CRD of {kind.api.kind} has {len(text.encode()):,} bytes, more than {MAX_CRD_BYTES:,}; shorten it"
            )
        written |= {f"{folder}/{kind.api}.yaml": text for folder in CRD_FOLDERS}
    written["charts/flywheel/files/rules.yaml"] = chart_rules(kinds)
    written |= reference_pages(kinds, CHECKOUT)
    written |= {script_path(kind): f"-- {COMMAND_NOTE}\n{health_script(kind)}" for kind in kinds}
    written[CONFIG_MAP_PATH] = HEADER + config_map_patch(kinds)
    return written


def chart_rules(kinds: Sequence[AnyKind]) -> str:
    """Returns the chart's permission rules, each under its reason; templates/operator reads them by their key."""
    tables: dict[str, tuple[str, tuple[rbac.Rule, ...]]] = {
        "operator": ("in every namespace that it watches", rbac.operator_rules(kinds)),
        "ownNamespace": ("in the namespace that it runs in", rbac.own_namespace_rules()),
        "policies": ("in the whole cluster", rbac.policy_rules()),
        "view": ("users who may read", rbac.view_rules(kinds)),
        "edit": ("users who may write", rbac.edit_rules(kinds)),
        "serverTokens": ("servers that authenticate callers, in the whole cluster", rbac.server_token_rules()),
        "serverAccess": ("the same servers, in their namespace", rbac.server_access_rules()),
        "runnerLogs": ("step pods, in their namespace", rbac.runner_log_rules()),
        "caller": ("who may call InferenceServices", rbac.caller_rules()),
        "labeler": ("who may post labels to InferenceServices", rbac.labeler_rules()),
        "approver": ("who may approve versions", rbac.approver_rules()),
        "readerReviews": ("the reader, in the whole cluster", rbac.reader_review_rules()),
        "reader": ("the reader, in every namespace that the operator watches", rbac.reader_rules(kinds)),
        "readerProxy": ("who may reach the reader through the API server", rbac.reader_proxy_rules()),
        "dataReader": ("who may read data", rbac.data_reader_rules()),
    }
    parts = [HEADER]
    for name, (who, table) in tables.items():
        parts.append(f"{name}: # {who}\n")
        parts += [f"# {rule.why}\n{dump_yaml([rule.manifest()])}" for rule in table]
    return "".join(parts)


def stale_files(wanted: dict[str, str], root: Path) -> list[str]:
    """Returns the paths whose file is missing, differs, or is no longer generated."""
    present = {path for path in wanted if (root / path).is_file()}
    differing = [path for path, text in wanted.items() if path not in present or (root / path).read_text() != text]
    kept = [str(path.relative_to(root)) for pattern in GENERATED_ALONE for path in root.glob(pattern)]
    return sorted([*differing, *(path for path in kept if path not in wanted)])


def write_files(wanted: dict[str, str], root: Path) -> list[str]:
    """Writes what differs, removes what is no longer generated, and returns these paths."""
    changed = stale_files(wanted, root)
    for path in changed:
        if path not in wanted:
            (root / path).unlink()
            continue
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(wanted[path])
    return changed


def main(arguments: Sequence[str] | None = None, print_: Callable[[str], object] = sys.stdout.write) -> int:
    """Returns the exit code: 1 if `--check` found a stale file, which it names."""
    parser = argparse.ArgumentParser(prog="python -m generator", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail if a file is not what the code generates"
    )
    parser.add_argument("--root", type=Path, default=CHECKOUT, help="the checkout (default: this one)")
    options = parser.parse_args(arguments)
    wanted = generated_files(discover.kinds())
    if not options.check:
        for path in write_files(wanted, options.root):
            print_(f"wrote {path}\n" if path in wanted else f"removed {path}\n")
        return 0
    found = stale_files(wanted, options.root)
    for path in found:
        print_(f"{path} is not what the code generates; run '{COMMAND}' and commit the result\n")
    return 1 if found else 0

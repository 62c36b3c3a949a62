"""Compares an exported file with what would be exported now: whether it was modified, and what differs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from flywheel.cli.errors import CommandError
from flywheel.cli.export import bom, card, model_facts_json
from flywheel.cli.fields import content_digest, get_field, list_objects

MAX_FINDINGS = 20  # findings that are listed
MAX_VALUE_LENGTH = 120  # characters of one value


@dataclass(frozen=True)
class Document:
    """A parsed file of `flywheel export`. `stated_digest` is the content digest in it."""

    form: str
    namespace: str
    version: str
    content: Mapping[str, Any]
    stated_digest: str | None


def parse_document(text: str, name: str) -> Document:
    """Parses a document of any of the three forms.

    Raises:
        CommandError: it is none of them, or does not name its version.
    """
    document = _parse_card(text, name) if text.startswith("---\n") else _parse_json(text, name)
    if not isinstance(document.namespace, str) or not isinstance(document.version, str):
        raise CommandError(f"'{name}' does not name its ModelVersion; export it again")
    return document


def is_unmodified(file: Document) -> bool:
    """Returns whether the content has the digest that the file states."""
    return file.stated_digest == content_digest(file.content)


def compare(file: Document, now: Document) -> list[str]:
    """Returns one sentence for each finding; none if the file is unmodified and matches the cluster."""
    findings = []
    if file.stated_digest is None:
        findings.append("The file has no digest of its content: that line was removed.")
    elif not is_unmodified(file):
        findings.append(
            f"The file was modified after its export: its content does not have the digest {file.stated_digest} that it states."
        )
    differing = list(differences(_comparable(file), _comparable(now)))
    findings += [
        f"{path}: the file says {_short(ours)}, the cluster {_short(theirs)}"
        for path, ours, theirs in differing[:MAX_FINDINGS]
    ]
    if len(differing) > MAX_FINDINGS:
        findings.append(f"and {len(differing) - MAX_FINDINGS} more differences")
    return findings


def differences(file: Any, cluster: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yields path, the file's value and the cluster's of each leaf that differs; None for an absent one."""
    if isinstance(file, Mapping) and isinstance(cluster, Mapping):
        for key in sorted({*file, *cluster}, key=str):
            yield from differences(file.get(key), cluster.get(key), f"{where}.{key}" if where else str(key))
    elif isinstance(file, list) and isinstance(cluster, list):
        ours, theirs = _keyed(file), _keyed(cluster)
        for key in dict.fromkeys((*ours, *theirs)):
            yield from differences(ours.get(key), theirs.get(key), f"{where}[{key}]")
    elif file != cluster or type(file) is not type(cluster):
        yield where, file, cluster


def _keyed(items: list[Any]) -> dict[Any, Any]:
    """Returns items by their name, so that a removed one does not make all after it differ; else by their position."""
    for name in ("name", "bom-ref", "type"):
        keys = [get_field(each, name) for each in items]
        if all(isinstance(key, str) for key in keys) and len(set(keys)) == len(keys):
            return dict(zip(keys, items, strict=True))
    return dict(enumerate(items))


def _parse_json(text: str, name: str) -> Document:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise CommandError(
            f"'{name}' is neither a model card nor JSON ({error}); give a file that 'flywheel export' wrote"
        ) from None
    if get_field(document, "bomFormat") == "CycloneDX":
        properties = {each.get("name"): each.get("value") for each in list_objects(document, "metadata", "properties")}
        namespace, version = (get_field(properties, f"flywheel:{key}") for key in ("namespace", "modelVersion"))
        return Document("bom", namespace, version, *bom.split_digest(document))
    if get_field(document, "document") == model_facts_json.DOCUMENT:
        namespace, version = (get_field(document, "version", key) for key in ("namespace", "name"))
        return Document("json", namespace, version, *model_facts_json.split_digest(document))
    raise CommandError(
        f"'{name}' is not what 'flywheel export' writes: no CycloneDX BOM and no {model_facts_json.DOCUMENT}"
    )


def _parse_card(text: str, name: str) -> Document:
    written, end, body = text.removeprefix("---\n").partition("\n---\n")
    try:
        head = yaml.safe_load(written) if end else None
    except yaml.YAMLError as error:
        raise CommandError(f"the head of '{name}' is not YAML: {error}") from None
    if not isinstance(head, dict):
        raise CommandError(
            f"'{name}' has no YAML head between two lines '---'; give a file that 'flywheel export' wrote"
        )
    ours = get_field(head, card.FLYWHEEL_KEY)
    return Document("card", get_field(ours, "namespace"), get_field(ours, "version"), *card.split_digest(head, body))


def _comparable(document: Document) -> Any:
    """Returns a card's text by heading and line, so that a finding names its place, and a BOM without the version of its tool."""
    if document.form == "card":
        return {"head": document.content["head"], "body": _sections(str(document.content["body"]))}
    if document.form == "bom":
        metadata = {key: value for key, value in document.content["metadata"].items() if key != "tools"}
        return {**document.content, "metadata": metadata}
    return document.content


def _sections(body: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"": []}
    title = ""
    for line in body.splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
            found.setdefault(title, [])
        else:
            found[title].append(line)
    return found


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 1]}…"

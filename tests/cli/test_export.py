"""Cards and BOMs: what they say, that they are of the official form, and that a changed word is found."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from packageurl import PackageURL

import flywheel
from flywheel.cli.errors import CommandError
from flywheel.cli.export import render
from flywheel.cli.export.check import compare, parse_document
from flywheel.cli.export.facts import model_facts
from flywheel.cli.export.image import Image
from tests.cli import sample_namespace
from tests.cyclonedx_schema import official_validator

GOLDEN = Path(__file__).parent / "golden"
FORMS = ("card", "bom", "json")
SUFFIX = {"card": "md", "bom": "cdx.json", "json": "json"}
Change = Callable[[str], str]

TRAINED = model_facts(
    sample_namespace.VERSION,
    model=sample_namespace.DELAY,
    dataset=sample_namespace.FLIGHTS,
    experiment=sample_namespace.SEARCH,
    services=[sample_namespace.SERVICE],
)
OF_A_RUN = model_facts(
    sample_namespace.LATER,
    model=sample_namespace.GATED,
    dataset=sample_namespace.FLIGHTS,
    experiment=sample_namespace.SEARCH,
    run=sample_namespace.RUN,
    services=[sample_namespace.SERVICE],
)
PLAIN = {"name": "flights", "version": "flights-aaaaaaaa", "digest": sample_namespace.DATA, "rows": 327346}
ALONE = model_facts(sample_namespace.VERSION)
BROUGHT = model_facts(sample_namespace.BROUGHT_VERSION, model=sample_namespace.FRAUD)
ALL = {"trained": TRAINED, "of_a_run": OF_A_RUN, "alone": ALONE, "brought": BROUGHT}


@pytest.fixture(scope="module")
def official() -> jsonschema_rs.Draft7Validator:
    return official_validator()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ALL)
def test_a_document_is_the_golden_one(name: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flywheel, "__version__", "1.2.3")  # a release changes no golden file
    file = GOLDEN / f"{name}.{SUFFIX[form]}"
    text = render(form, ALL[name])
    if os.environ.get("GOLDEN") == "write":
        file.write_text(text)

    assert file.read_text() == text


@pytest.mark.parametrize("name", ALL)
def test_a_bom_is_of_the_official_form(official: jsonschema_rs.Draft7Validator, name: str) -> None:
    assert [error.message for error in official.iter_errors(json.loads(render("bom", ALL[name])))] == []


def test_the_official_form_does_refuse(official: jsonschema_rs.Draft7Validator) -> None:
    bom = json.loads(render("bom", TRAINED))
    bom["metadata"]["component"]["modelCard"]["modelParameters"]["mood"] = "good"

    assert not official.is_valid(bom)


@pytest.mark.parametrize("name", ALL)
def test_every_reference_of_a_bom_leads_to_a_component(name: str) -> None:
    bom = json.loads(render("bom", ALL[name]))
    model = bom["metadata"]["component"]
    refs = {each["bom-ref"] for each in (model, *bom["components"])}
    datasets = model["modelCard"].get("modelParameters", {}).get("datasets", [])

    assert {each["ref"] for each in datasets} <= refs
    assert {end for each in bom["dependencies"] for end in (each["ref"], *each.get("dependsOn", []))} <= refs


def test_what_is_known_of_a_datasets_rows_is_not_said_of_what_a_run_prepared_from_them() -> None:
    data = OF_A_RUN["dataset"]

    assert (data["digest"], data["preparedFrom"]) == (sample_namespace.PREPARED, sample_namespace.DATA)
    assert "rows" not in data
    assert TRAINED["dataset"] | PLAIN == TRAINED["dataset"]


def test_data_that_a_run_of_another_pipeline_left_names_that_run() -> None:
    spec = sample_namespace.LATER["spec"]
    prepared = {"step": "window", "run": "features-1"}
    version = {**sample_namespace.LATER, "spec": {**spec, "lineage": {**spec["lineage"], "prepared": prepared}}}
    facts = model_facts(version, model=sample_namespace.GATED, dataset=sample_namespace.FLIGHTS)

    assert "Prepared by: step `window` of run `features-1`" in render("card", facts)
    assert "step 'window' of run 'features-1' of another pipeline" in render("bom", facts)


def test_a_card_can_be_read_as_hugging_face_reads_it() -> None:
    head = next(yaml.safe_load_all(render("card", TRAINED).removeprefix("---\n").partition("\n---\n")[0]))

    [result] = head["model-index"][0]["results"]
    assert result["task"] == {"type": "tabular-classification"}
    assert {each["type"]: each["value"] for each in result["metrics"]}["roc_auc"] == 0.6931471805599453
    assert all(isinstance(each["value"], float) for each in result["metrics"])


def test_a_users_text_is_not_rendered_as_markup() -> None:
    body = render("card", TRAINED)

    assert "<img" not in body.partition("\n---\n")[2]
    assert "&lt;15&gt; minutes late \\| or more?" in body


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ALL)
def test_a_whole_document_has_nothing_against_it(name: str, form: str) -> None:
    text = render(form, ALL[name])

    assert compare(parse_document(text, "file"), parse_document(text, "cluster")) == []


def in_json(*path: str | int, value: Any) -> Change:
    """A change of one place of a JSON document."""

    def change(text: str) -> str:
        whole = json.loads(text)
        here = whole
        for step in path[:-1]:
            here = here[step]
        here[path[-1]] = value
        return json.dumps(whole)

    return change


def in_text(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


CARD_METRIC = "head.model-index[delay-cccccccc].results[0].metrics[roc_auc].value"


@pytest.mark.parametrize(
    ("form", "change", "where"),
    [
        pytest.param("card", in_text("value: 0.6931471805599453", "value: 0.93"), CARD_METRIC, id="a better metric in a head"),
        pytest.param("card", in_text("| 0.6931471805599453 |", "| 0.93 |"), "body.Metrics[", id="a better metric in a text"),
        pytest.param("card", in_text("airport failed", "airport passed"), "body.Gates[", id="a gate that was failed"),
        pytest.param("card", in_text(f"digest: {sample_namespace.SERVED}", f"digest: {sample_namespace.MADE}"), "head.flywheel.digest", id="other weights"),
        pytest.param("card", in_text("## Limits", "## Praise"), "body.Praise", id="another heading"),
        pytest.param(
            "bom",
            in_json("metadata", "component", "hashes", 0, "content", value="0" * 64),
            "metadata.component.hashes[0].content",
            id="another hash",
        ),
        pytest.param(
            "bom",
            in_json("metadata", "component", "modelCard", "quantitativeAnalysis", "performanceMetrics", 0, "value", value="0"),
            "metadata.component.modelCard.quantitativeAnalysis.performanceMetrics[log_loss].value",
            id="a better metric in a bom",
        ),
        pytest.param("bom", in_json("components", value=[]), "components[flights]", id="data that was hushed up"),
        pytest.param("bom", in_json("metadata", "timestamp", value="2020-01-01T00:00:00Z"), "metadata.timestamp", id="another time"),
        pytest.param("json", in_json("version", "metrics", "roc_auc", value="0.93"), "version.metrics.roc_auc", id="a better fact"),
        pytest.param("json", in_json("version", "praise", value="good"), "version.praise", id="a fact of somebody's own"),
    ],
)  # fmt: skip
def test_what_was_changed_is_named(form: str, change: Change, where: str) -> None:
    text = render(form, OF_A_RUN)

    changed, *others = compare(parse_document(change(text), "file"), parse_document(text, "cluster"))

    assert "was modified after its export" in changed
    assert any(finding.startswith(where) for finding in others), others


def leaves(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """Where the words and numbers of a JSON document stand."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from leaves(each, *path, key)
    if not isinstance(value, (dict, list)):
        yield path


@pytest.mark.parametrize("form", ["bom", "json"])
def test_no_word_can_be_changed_unseen(form: str) -> None:
    text = render(form, OF_A_RUN)
    now = parse_document(text, "cluster")
    unseen = []
    for path in leaves(json.loads(text)):
        try:
            changed = parse_document(in_json(*path, value="another")(text), "file")
        except CommandError:
            continue  # it is no export any more, and told so
        if not compare(changed, now):
            unseen.append(path)

    assert unseen == []


@pytest.mark.parametrize("form", FORMS)
def test_a_modified_document_with_a_new_digest_differs_from_the_cluster(form: str) -> None:
    better = {**OF_A_RUN, "version": {**OF_A_RUN["version"], "metrics": {"roc_auc": "0.99"}}}

    findings = compare(parse_document(render(form, better), "file"), parse_document(render(form, OF_A_RUN), "cluster"))

    assert findings
    assert not any("was changed after" in finding for finding in findings)
    assert any("roc_auc" in finding or "Metrics" in finding for finding in findings)


@pytest.mark.parametrize("form", FORMS)
def test_a_removed_digest_is_reported(form: str) -> None:
    text = render(form, TRAINED)
    sealed = parse_document(text, "file")
    assert sealed.stated_digest is not None
    lines = {
        "card": lambda: in_text(f"  contentDigest: {sealed.stated_digest}\n", "")(text),
        "json": lambda: json.dumps({key: value for key, value in json.loads(text).items() if key != "contentDigest"}),
        "bom": lambda: in_text(sealed.stated_digest, "")(text),
    }

    findings = compare(parse_document(lines[form](), "file"), parse_document(text, "cluster"))

    assert "digest" in findings[0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("", "neither a model card nor JSON", id="nothing"),
        pytest.param("[1]", "is not what 'flywheel export' writes", id="a list"),
        pytest.param('{"bomFormat": "SPDX"}', "is not what 'flywheel export' writes", id="another sort of BOM"),
        pytest.param('{"bomFormat": "CycloneDX"}', "does not name its ModelVersion", id="somebody's BOM"),
        pytest.param('{"bomFormat": "CycloneDX", "metadata": [1]}', "does not name its", id="a broken BOM"),
        pytest.param("---\nname: [\n---\n# a\n", "is not YAML", id="a head that is no YAML"),
        pytest.param("---\nname: x\n", "has no YAML head", id="a head without an end"),
        pytest.param("---\nflywheel: [1]\n---\n# a\n", "does not name its ModelVersion", id="a strange head"),
    ],
)
def test_a_document_that_was_not_exported_is_named(text: str, sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        parse_document(text, "it")


@pytest.mark.parametrize(
    ("text", "name", "tag", "digest"),
    [
        pytest.param(
            sample_namespace.IMAGE, "registry.example:5000/team/runtime", "1.2", f"sha256:{'f' * 64}", id="all of it"
        ),
        pytest.param(
            "registry.example:5000/runtime", "registry.example:5000/runtime", None, None, id="a port is no tag"
        ),
        pytest.param("runtime:dev", "runtime", "dev", None, id="a tag"),
        pytest.param("runtime@sha256:abc", "runtime", None, None, id="half a digest is none"),
    ],
)
def test_the_parts_of_an_image(text: str, name: str, tag: str | None, digest: str | None) -> None:
    image = Image.parse(text)

    assert (image.name, image.tag, image.digest) == (name, tag, digest)


def test_an_images_package_url_is_one() -> None:
    purl = PackageURL.from_string(str(Image.parse(sample_namespace.IMAGE).purl))

    assert (purl.type, purl.name, purl.version) == ("oci", "runtime", f"sha256:{'f' * 64}")
    assert purl.qualifiers == {"repository_url": "registry.example:5000/team/runtime", "tag": "1.2"}

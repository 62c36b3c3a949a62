"""What the pages promise is there: manifests that fit their schema, commands that exist, links that lead somewhere."""

import re
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from demo import __main__ as demo
from e2e.site import links
from flywheel.client.transport.endpoints import check_url
from flywheel.engine import discover
from tests.documents import BLOCK, CHECKOUT, CODE, documents, texts

KINDS = {(kind.api.api_version, kind.api.kind): kind for kind in discover.kinds()}
GUIDES = ("README.md", "CONTRIBUTING.md")
MAKE = re.compile(r"\bmake((?: +(?:[A-Z]+=\S*|[a-z][a-z0-9-]*))+)")
TARGETS = {
    found[1] for found in re.finditer(r"^([a-z][a-z0-9-]*):.*## .+$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
}


def page(name: str) -> str:
    return (CHECKOUT / name).read_text()


def commands(text: str) -> Iterator[str]:
    """Each line of a shell block and each piece of inline code, without its comment."""
    for found in CODE.finditer(text):
        if found["language"] in (None, "", "sh"):
            for line in (found["block"] or found["inline"]).splitlines():
                yield line.partition(" #")[0].strip()


def targets(text: str) -> list[str]:
    """What `make` is asked for in these commands."""
    asked = (word for command in commands(text) for found in MAKE.finditer(command) for word in found[1].split())
    return [word for word in asked if "=" not in word]


@pytest.mark.parametrize("text", [pytest.param(text, id=where) for where, text in texts()])
def test_every_yaml_can_be_read(text: str) -> None:
    assert [one for one in yaml.safe_load_all(text) if one is not None]


@pytest.mark.parametrize("document", [pytest.param(text, id=where) for where, text in documents()])
def test_every_manifest_fits_its_kind(document: str) -> None:
    manifest = yaml.safe_load(document)
    kind = KINDS.get((manifest["apiVersion"], manifest["kind"]))

    assert kind is not None or not manifest["apiVersion"].startswith("flywheel.ml/")
    if kind is not None:
        assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
        kind.spec.model_validate(manifest["spec"], extra="forbid")


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(page("README.md").splitlines()) <= 160


def test_the_readme_shows_what_the_demo_prints() -> None:
    kinds = {kind.short_name: kind.api.kind.lower() for kind in KINDS.values()}
    shown = re.findall(r"^(\w+)\.flywheel\.ml/(\S+)", page("README.md"), re.MULTILINE)
    manifests = [yaml.safe_load(text) for where, text in documents() if where.startswith("demo/")]
    applied = {(each["kind"].lower(), each["metadata"]["name"]) for each in manifests} - {("model", "flight-delay")}

    assert list(dict.fromkeys(kind for kind, _name in shown)) == [kinds[each] for each in demo.KINDS.split(",")]
    assert len(applied) == 6
    assert applied <= set(shown)


@pytest.mark.parametrize("name", GUIDES)
def test_every_target_that_a_guide_names_exists(name: str) -> None:
    named = set(targets(page(name)))

    assert named, "this test finds no command any more"
    assert named <= TARGETS


def test_every_target_that_a_page_of_docs_names_exists() -> None:
    named = {
        (str(path.relative_to(CHECKOUT)), target)
        for path in (CHECKOUT / "docs").glob("**/*.md")
        for target in targets(path.read_text())
    }

    assert len(named) > 5, "this test finds no command any more"
    assert sorted((name, target) for name, target in named if target not in TARGETS) == []


def test_contributing_begins_with_five_commands() -> None:
    first = CODE.search(page("CONTRIBUTING.md"))

    assert first is not None
    assert targets(first[0]) == ["setup", "check", "unit", "apiserver", "test"]


@pytest.mark.parametrize(
    "name",
    [
        *GUIDES,
        *("CHANGELOG.md", "SECURITY.md", "operator/ARCHITECTURE.md", "images/README.md"),
        *(str(path.relative_to(CHECKOUT)) for path in sorted((CHECKOUT / "docs").glob("**/*.md"))),
    ],
)
def test_every_link_leads_to_a_file(name: str) -> None:
    folder = (CHECKOUT / name).parent

    assert [link for link in links(page(name)) if not (folder / link).exists()] == []


# The distribution is in no index: what has its name there would be somebody else's code.
FROM_INDEX = re.compile(r"pip install[^\n`]*flywheel-operator")
SHIPPED = ("README.md", "CHANGELOG.md", "docs/**/*.md", "images/**/*.md", "operator/**/*.py", "images/**/*.py")


def test_nobody_is_sent_to_an_index_for_the_distribution() -> None:
    paths = [path for pattern in SHIPPED for path in CHECKOUT.glob(pattern)]

    assert len(paths) > 100, "this test finds no file any more"
    assert [str(path.relative_to(CHECKOUT)) for path in paths if FROM_INDEX.search(path.read_text())] == []


def test_the_client_takes_the_reader_s_addresses_that_pages_name() -> None:
    pages = "".join(path.read_text() for path in (CHECKOUT / "docs").glob("**/*.md"))
    addresses = re.findall(r"http://flywheel-reader[\w.:-]*", pages)

    assert addresses
    assert [check_url(each, "the page") for each in addresses] == addresses


# Where a path of the architecture's page may begin.
IMAGE_FOLDERS = {f"{name}/": f"images/{name}/flywheel_{name}/" for name in ("reader", "runtime", "serving")}


def test_every_module_that_the_page_on_architecture_names_exists() -> None:
    named = set(re.findall(r"`([a-z_]+/[\w/]+\.py)`", page("operator/ARCHITECTURE.md")))
    folders = [CHECKOUT, CHECKOUT / "operator/flywheel"]
    missing = []
    for path in named:
        short = next((short for short in IMAGE_FOLDERS if path.startswith(short)), "")
        places = [folder / path for folder in folders] + [
            CHECKOUT / IMAGE_FOLDERS.get(short, "") / path.removeprefix(short)
        ]
        if not path.startswith("schema/") and not any(place.exists() for place in places):
            missing.append(path)

    assert len(named) > 50, "this test finds no module any more"
    assert missing == []


def test_every_test_that_the_page_on_security_names_exists() -> None:
    named = re.findall(r"`((?:tests|e2e)/[\w/]*test_\w+\.py)(?:::(\w+))?`", page("docs/security.md"))
    sources = {path: (CHECKOUT / path).read_text() for path, _name in named}

    assert len(sources) > 80, "this test finds no test any more"
    assert [
        f"{path}::{name}" for path, name in named if f"\ndef {name + '(' if name else 'test_'}" not in sources[path]
    ] == []


SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SENTENCE = re.compile(r"(?<=[.])\s+(?=[A-Z[])")
# Sentences of the README's section on installation that guarantee something too.
GUARANTEE_OPENINGS = ("The operator talks only", "Their pods run", "In step pods,")
# What a sentence has beside its promise: where to read on.
POINTERS = ("[docs/security.md]", "Jobs and servers read them.")


def section(name: str, title: str) -> str:
    found: dict[str, str] = dict(SECTION.findall(page(name)))
    return found[title]


def guarantees() -> list[str]:
    """Each sentence by which the README guarantees something."""
    lines = [line.removeprefix("- ") for line in section("README.md", "Guarantees").splitlines() if line]
    sentences = [sentence for line in lines for sentence in SENTENCE.split(line)]
    installation = [
        each for line in section("README.md", "Install into your cluster").splitlines() for each in SENTENCE.split(line)
    ]
    sentences += [each for each in installation if each.startswith(GUARANTEE_OPENINGS)]
    return [each for each in sentences if not each.startswith(POINTERS)]


def test_every_guarantee_of_the_readme_stands_beside_its_tests() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section("docs/security.md", "What the README guarantees").splitlines()
        if line.startswith("| ") and not line.startswith("| Guarantee")
    ]

    assert len(guarantees()) >= 12, "this test finds no guarantee any more"
    assert [row[0] for row in rows] == guarantees()
    assert [row[0] for row in rows if not re.search(r"`[\w/]+\.py::\w+`", row[1])] == []


def test_every_kind_has_an_example() -> None:
    shown = {yaml.safe_load(text)["kind"] for where, text in documents() if where.startswith("crds/examples/")}

    assert {kind.api.kind for kind in KINDS.values()} <= shown


def test_the_blocks_of_a_page_are_found() -> None:
    text = "Text\n```yaml\napiVersion: v1\n```\nmore\n```yaml\na: 1\n---\nb: 2\n```\n```sh\nls\n```\n"

    assert [found[1] for found in BLOCK.finditer(text)] == ["apiVersion: v1\n", "a: 1\n---\nb: 2\n"]


def test_the_commands_of_a_page_are_found() -> None:
    text = "We make models.\n```yaml\na: make nothing\n```\n```sh\nmake up images   # make nothing else\nCLUSTER=kind make demo\n```\nSay `make e2e K=loop`.\n"

    assert targets(text) == ["up", "images", "demo", "e2e"]


def test_the_links_of_a_page_are_found() -> None:
    text = "[a](docs/a.md#part), [b](demo/) and [c](https://example.com/c)"

    assert links(text) == ["docs/a.md", "demo/"]


def test_no_merge_was_left_half_done() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout.split()
    marks = re.compile(rb"^(<{7} |>{7} |={7}$)", re.MULTILINE)

    assert [
        name for name in tracked if (CHECKOUT / name).is_file() and marks.search((CHECKOUT / name).read_bytes())
    ] == []

"""The documentation's site has what its pages link to, and nothing of it comes from another host."""

from pathlib import Path

import pytest

from e2e import site
from e2e.cluster.progress import Failure
from tests.documents import CHECKOUT

NAVIGATION = '[project]\nnav = [{"Start" = ["docs/index.md"]}, {"Contributing" = [{"All" = ["CONTRIBUTING.md"]}]}]\n'


def checkout(folder: Path, **pages: str) -> Path:
    """A checkout with these pages of docs/, and one that only the navigation names."""
    (folder / "docs").mkdir()
    (folder / site.CONFIGURATION).write_text(NAVIGATION)
    (folder / "CONTRIBUTING.md").write_text("# Contributing\n")
    for name, text in {"index": "# Start\n", **pages}.items():
        (folder / f"docs/{name}.md").write_text(text)
    return folder


def test_the_site_has_what_its_pages_link_to_and_so_on(tmp_path: Path) -> None:
    root = checkout(tmp_path, index="[a](../a.md#part)\n")
    (root / "a.md").write_text("[b](b.yaml), [c](https://example.com/c.md)\n")
    (root / "b.yaml").write_text("[d](d.md)")
    (root / "unlinked.md").write_text("nobody links here")

    site.collect(root)

    copied = {str(path.relative_to(root / site.SOURCES)) for path in (root / site.SOURCES).rglob("*") if path.is_file()}
    assert copied == {"docs/index.md", "CONTRIBUTING.md", "a.md", "b.yaml"}


@pytest.mark.parametrize("link", ["missing.md", "../docs/", "../../outside.md"])
def test_a_link_to_no_file_of_the_checkout_is_refused_by_name(tmp_path: Path, link: str) -> None:
    (tmp_path / "outside.md").touch()
    (tmp_path / "checkout").mkdir()
    root = checkout(tmp_path / "checkout", index=f"[a]({link})\n")

    with pytest.raises(Failure, match=f"docs/index.md links to {link}, which is no file"):
        site.linked_files(root)


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<script src="https://cdn.example/a.js"></script>', "loads https://cdn.example/a.js from another host"),
        ('<link rel="stylesheet" href="//cdn.example/a.css">', "loads //cdn.example/a.css from another host"),
        ('<img src="missing.svg">', "links to missing.svg, which the site does not have"),
        ('<a href="missing.html">a</a>', "links to missing.html, which the site does not have"),
        ('<a href="b.html#nowhere">a</a>', "links to b.html#nowhere, but that page has no such heading"),
        ('<a href="#nowhere">a</a>', "links to #nowhere, but that page has no such heading"),
        ('<pre class="mermaid">graph</pre>', "has a drawing of mermaid"),
    ],
)
def test_a_page_is_refused_for(tmp_path: Path, html: str, problem: str) -> None:
    (tmp_path / "a.html").write_text(html)
    (tmp_path / "b.html").write_text('<h2 id="part">Part</h2>')

    found = list(site.problems(tmp_path))

    assert len(found) == 1
    assert found[0].startswith(f"a.html {problem}")


def test_a_page_with_good_links_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<link rel="canonical" href="https://example.com/a.html"><a href="b.html#part">b</a><a href=".">home</a>'
        '<a href="https://example.com">e</a><img src="p.svg">'
    )
    (tmp_path / "b.html").write_text('<h2 id="part">Part</h2>')
    (tmp_path / "index.html").touch()
    (tmp_path / "p.svg").touch()

    assert list(site.problems(tmp_path)) == []


def test_every_page_of_docs_is_in_the_navigation() -> None:
    """A page that only a link leads to is found by nobody who looks for it."""
    shown = set(site.navigation(CHECKOUT))

    assert [str(path) for path in sorted((CHECKOUT / "docs").glob("**/*.md")) if path not in shown] == []
    assert [str(path) for path in shown if not path.is_file()] == []

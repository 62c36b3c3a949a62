"""The documentation's site: `make docs` builds it into dist/docs, where it needs no network.

Pages link to files anywhere in the checkout. So the site has the checkout's layout: it has every page of docs/, whatever a
page of it links to, and so on. Zensical refuses links to pages and headings that do not exist; `problems` refuses what it
does not see: links to other files, and whatever a browser would load from another host.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from e2e.cluster.paths import CHECKOUT
from e2e.cluster.progress import Failure, exit_code, step
from e2e.setup import ENVIRONMENT

CONFIGURATION = "zensical.toml"
SOURCES = "build/docs"  # docs_dir of zensical.toml
SITE = "dist/docs"  # its site_dir
HOME = "docs/index.html"
PAGES = ("docs/**/*.md", "operator/decisions/*.md")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
REDIRECT = f'<!doctype html><meta charset="utf-8"><title>Flywheel</title><meta http-equiv="refresh" content="0; url={HOME}"><a href="{HOME}">Flywheel</a>\n'
LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "video": "src", "link": "href"}
NOT_LOADED = {"canonical", "next", "prev", "alternate"}  # relations of a <link> that only name an address
DRAWN_BY_CDN = "mermaid"  # the theme's script would load what draws it


def links(text: str) -> list[str]:
    """The targets of a page's links that are no addresses, without their fragments."""
    return [found[1] for found in LINK.finditer(text) if "://" not in found[1] and not found[1].startswith("mailto:")]


def navigation(checkout: Path) -> list[Path]:
    """The pages that the navigation names, in its order."""
    configuration = tomllib.loads((checkout / CONFIGURATION).read_text())
    waiting = [configuration["project"]["nav"]]
    found = []
    while waiting:
        match waiting.pop(0):
            case str(page):
                found.append(checkout / page)
            case dict(section):
                waiting[:0] = section.values()
            case list(entries):
                waiting[:0] = entries
    return found


def linked_files(checkout: Path) -> set[Path]:
    """Every page of docs/, of the navigation and of decisions, and every file that one of them links to, and so on.

    Raises Failure with each link that leads to no file.
    """
    waiting = [*navigation(checkout), *(path for pattern in PAGES for path in checkout.glob(pattern))]
    found: set[Path] = set()
    wrong = []
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        if path.suffix != ".md":
            continue
        for link in links(path.read_text()):
            target = (path.parent / unquote(link)).resolve()
            if target.is_file() and target.is_relative_to(checkout):
                waiting.append(target)
            else:
                wrong.append(f"{path.relative_to(checkout)} links to {link}, which is no file; name one")
    if wrong:
        raise Failure("\n".join(sorted(wrong)))
    return found


def collect(checkout: Path) -> None:
    """Copy these files to where Zensical reads them."""
    folder = checkout / SOURCES
    shutil.rmtree(folder, ignore_errors=True)
    for path in linked_files(checkout):
        copy = folder / path.relative_to(checkout)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


class Page(HTMLParser):
    """What a page of the site has to be checked: its anchors, its links, and what a browser loads with it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.drawn_elsewhere = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.drawn_elsewhere |= DRAWN_BY_CDN in values.get("class", "").split()
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        loads = tag in LOADED and LOADED[tag] in values
        if loads and not (tag == "link" and set(values.get("rel", "").split()) & NOT_LOADED):
            self.loaded.add(values[LOADED[tag]])


def problems(site: Path) -> Iterator[str]:
    """Yields a sentence for each link of the site that leads nowhere, and for each thing that another host would serve."""
    pages = {path: Page(path.read_text()) for path in sorted(site.glob("**/*.html")) if path.name != "404.html"}
    for path, page in pages.items():
        name = path.relative_to(site)
        if page.drawn_elsewhere:
            yield f"{name} has a drawing of {DRAWN_BY_CDN}, whose program comes from another host; draw an SVG"
        for address in sorted(page.loaded):
            if urlsplit(address).netloc:
                yield f"{name} loads {address} from another host; the site has to serve it itself"
        for address in sorted(page.links | page.loaded):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                yield f"{name} links to {address}, which the site does not have"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name} links to {address}, but that page has no such heading"


def build(checkout: Path = CHECKOUT) -> None:
    """Write the site; raises Failure with what is wrong with it."""
    collect(checkout)
    shutil.rmtree(checkout / SITE, ignore_errors=True)
    done = subprocess.run(
        [ENVIRONMENT / "docs/bin/zensical", "build", "--strict", "--clean", "--config-file", CONFIGURATION],
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        found = f"{done.stdout}{done.stderr}".partition("Traceback")[0]
        raise Failure(f"{found}\nZensical could not build the pages; see its words above")
    (checkout / SITE / "index.html").write_text(REDIRECT)
    if wrong := list(problems(checkout / SITE)):
        raise Failure("\n".join(wrong))


def main() -> None:
    with step("documentation"):
        build()


if __name__ == "__main__":
    sys.exit(exit_code(main))

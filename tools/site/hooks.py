"""What the site has beside the pages in ``docs``: pages made from code, README and other files of the root.

Pages link to one another as they lie in the repository, so that they can be read there as well; here links
get the addresses of the site. A page that the navigation lacks, and a link or an anchor that leads nowhere,
is a warning of MkDocs, which fails ``make docs``.
"""

from __future__ import annotations

import fnmatch
import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from commands import commands_page
from keys import keys_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from reference import reference_pages

ROOT = Path(__file__).parents[2]
_log = logging.getLogger("mkdocs.hooks")
OF_THE_ROOT = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
"""Pages beside ``docs``, and where they are in the site."""

RESULTS = "results/index.md"
_LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(\))")
_PICTURE = re.compile(r"(<(?:img|source)\b[^>]*?\bsrc(?:set)?=[\"'])(?![a-z]+:|#|/)([^\"'#\s]+)()([\"'])")
_FENCED = re.compile(r"(^ *(`{3,}|~{3,}).*?^ *\2 *$)", re.MULTILINE | re.DOTALL)
_TOLD_TO_TESTS = re.compile(r"^ *<!-- test:.*?-->\n?", re.MULTILINE | re.DOTALL)
_LANGUAGES = {".yaml": "yaml", ".py": "python", ".toml": "toml", ".txt": "text"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here, and write out the navigation."""
    for source, uri in OF_THE_ROOT.items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text(encoding="utf-8")))
    made = {**reference_pages(), "reference/commands.md": commands_page(), "reference/keys.md": keys_page()}
    made[RESULTS] = _results(files)
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    for path in _files_that_are_linked(files):
        files.append(File.generated(config, _shown_at(path), content=_shown(path)))
    pages = sorted(file.src_uri for file in files.documentation_pages())
    config.nav = written_out(config.nav or [], pages)
    return files


def written_out(nav: list[Any], pages: list[str]) -> list[Any]:
    """Put pages in the place of patterns such as ``tutorials/*``: those that are named nowhere else.

    Dated pages come newest first; a heading under which there is no page is left out.
    """
    return _written_out(nav, pages, {*_named(nav)})


def _written_out(nav: list[Any], pages: list[str], named: set[str]) -> list[Any]:
    found: list[Any] = []
    for entry in nav:
        title, value = next(iter(entry.items())) if isinstance(entry, dict) else (None, entry)
        if isinstance(value, list):
            below = _written_out(value, pages, named)
            found += [{title: below}] if below else []
        elif "*" in value:
            matching = [page for page in pages if fnmatch.fnmatch(page, value) and page not in named]
            dated = re.search(r"/\d{4}-", matching[0]) if matching else None
            found += [{title: page} if title else page for page in (matching[::-1] if dated else matching)]
        else:
            found.append(entry)
    return found


def _named(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(value, list):
            yield from _named(value)
        elif "*" not in value:
            yield value


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leave out what comments tell the tests, and give links the addresses of the site."""
    of_the_root = {uri: source for source, uri in OF_THE_ROOT.items()}
    uri = page.file.src_uri
    source = of_the_root.get(uri, f"docs/{uri}")
    parts = _FENCED.split(_TOLD_TO_TESTS.sub("", markdown))
    # Of three parts the first is text, then a block and its fence.
    for pattern in (_LINK, _PICTURE):
        parts[::3] = [pattern.sub(lambda link: _readdressed(link, source, uri), text) for text in parts[::3]]
    del parts[2::3]
    return "".join(parts)


def _readdressed(link: re.Match[str], source: str, uri: str) -> str:
    opening, target, anchor, closing = link.groups(default="")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    where = _in_the_site(path)
    if link.re is _PICTURE and not (ROOT / path).is_file():  # MkDocs looks at no HTML
        _log.warning("Doc file '%s' shows '%s', but there is no file %s.", uri, target, path)
    if where is None:
        return link[0]
    return f"{opening}{posixpath.relpath(where, posixpath.dirname(uri) or '.')}{anchor}{closing}"


def _in_the_site(path: str) -> str | None:
    """Return where in the site a file of the repository is."""
    if path in OF_THE_ROOT:
        return OF_THE_ROOT[path]
    if path == "docs/results":
        return RESULTS
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return _shown_at(path) if (ROOT / path).is_file() else None


def _results(files: Files) -> str:
    """Return the list of dated measurements."""
    lines = ["# Results", "", "Dated measurements, newest first.", ""]
    for file in sorted(files.documentation_pages(), key=lambda file: file.src_uri, reverse=True):
        name = posixpath.basename(file.src_uri)
        if file.src_uri.startswith("results/") and re.match(r"\d{4}-\d\d-\d\d-", name):
            title = re.search(r"^# (.+)$", file.content_string, re.MULTILINE)
            lines.append(f"- {name[:10]}: [{title[1] if title else name}]({name})")
    return "\n".join(lines) + "\n"


def _files_that_are_linked(files: Files) -> list[str]:
    """Return the files outside of ``docs`` that pages link to."""
    found = set()
    sources = {source: (ROOT / source).read_text(encoding="utf-8") for source in OF_THE_ROOT}
    sources |= {
        f"docs/{f.src_uri}": f.content_string for f in files.documentation_pages() if not f.generated_by
    }
    for source, text in sources.items():
        for link in _LINK.finditer(_FENCED.sub("", text)):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
            if not path.startswith("docs/") and path not in OF_THE_ROOT and (ROOT / path).is_file():
                found.add(path)
    return sorted(found)


def _shown_at(path: str) -> str:
    return f"sources/{path}.md"


def _shown(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    return f"# `{path}`\n\n````{_LANGUAGES.get(Path(path).suffix, 'text')}\n{text}````\n"

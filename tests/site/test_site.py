"""The site has all that is public, fetches nothing from elsewhere, and shows pages as the repository does."""

import importlib
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import hooks
import mkdocs.config
import pytest
import yaml
from commands import commands_page
from conftest import ROOT
from keys import keys_page
from markdown_it import MarkdownIt
from mkdocs.commands.build import build
from reference import public_modules, reference_pages

import cotune
from cotune.studies.schema import study_schema

FETCHES = {"src", "srcset", "data", "poster"}
"""Attributes whose address a browser fetches by itself; of ``link`` it fetches ``href``."""

UNUSED_ADDRESSES = {
    "https://unpkg.com/mermaid@11/dist/mermaid.min.js": "only for diagrams of Mermaid, which no page has",
    "https://unpkg.com/resize-observer-polyfill": "only for browsers before 2020",
    "https://api.github.com/": "only where the site names a repository",
    "https://${": "only where the site names a repository",
    "https://bit.ly/2s3ChXG": "in the words of an error",
}
"""What the theme's scripts could ask for, and why they never do."""


class Page(HTMLParser):
    """What a page has and what it fetches."""

    def __init__(self, file):
        super().__init__()
        self.fetched, self.ids, self.classes, self.counts, self.text = [], set(), set(), {}, ""
        self._content, self._depth = False, 0
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.fetched += [given[name] for name in FETCHES & {*given}]
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.fetched.append(given.get("href"))
        self.ids.add(given.get("id"))
        self.classes |= {*(given.get("class") or "").split()}
        if tag == "article":
            self._content = True
        if self._content:
            self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag):
        if tag == "article":
            self._content = False

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="session")
def pages(site):
    """Return all pages of the site by their address."""
    return {file.relative_to(site).as_posix(): Page(file) for file in site.rglob("*.html")}


def test_pages_fetch_nothing_from_elsewhere(site, pages):
    assert len(pages) > 50
    for page in pages.values():
        assert page.fetched
        assert not [address for address in page.fetched if re.match(r"(\w+:)?//", address or "")]
        assert "mermaid" not in page.classes
        assert not re.search(r"<script[^>]*>[^<]*https?://", page.text)


def test_styles_and_scripts_fetch_nothing_from_elsewhere(site):
    for file in site.rglob("*.css"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", text), file.name
    scripts = [
        file for file in site.rglob("*.js") if "lunr" not in file.parts and file.name != "search_index.js"
    ]
    assert any("bundle" in file.name for file in scripts)
    for file in scripts:
        code = re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        for address in re.findall(r"https?://[^\s\"'`)]+", code):
            assert any(address.startswith(known) for known in UNUSED_ADDRESSES), f"{file.name}: {address}"


def test_everything_public_is_on_a_page(pages):
    listed = {f"{module.name}.{name}": module for module in public_modules() for name in module.names}
    rooms = {name.removeprefix("cotune.") for name in pages if name.startswith("reference/api/cotune.")}
    assert len(listed) > 400
    assert len(rooms) > 10
    for full, module in listed.items():
        name = full.rpartition(".")[2]
        page = pages[f"reference/api/{module.room}.html"]
        if name != "__version__":
            assert full in page.ids or re.search(rf"\b{re.escape(name)} is cotune\.[\w.]+", page.text), full


def test_lists_of_public_names_are_those_that_python_sees():
    modules = public_modules()
    assert {module.name for module in modules} >= {"cotune", "cotune.tasks", "cotune.studies.engine"}
    for module in modules:
        found = getattr(importlib.import_module(module.name), "__all__", ())
        assert tuple(found) == module.names
    assert {*cotune.__all__} == {*modules[0].names}
    top = reference_pages()["reference/api/cotune.md"]
    assert all(f"::: cotune.{name}\n" in top for name in {*cotune.__all__} - {"__version__"})


def test_every_command_and_option_is_on_the_page_of_commands():
    import typer.main

    from cotune.cli._app import app

    page = commands_page()
    left = [("cotune", typer.main.get_command(app))]
    seen = 0
    while left:
        name, command = left.pop()
        left += [(f"{name} {below}", one) for below, one in getattr(command, "commands", {}).items()]
        section = page if name == "cotune" else page.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                assert all(f"`{option}`" in section for option in parameter.opts), (name, parameter.opts)
                assert " ".join((parameter.help or "").split())[:30].replace("|", "\\|") in section
                seen += 1
    assert seen > 80
    assert "bound method" not in page


def test_every_key_of_study_files_is_on_the_page_of_keys():
    page = keys_page()
    for name, definition in study_schema()["$defs"].items():
        section = page.split(f"{{: #{name.lower()} }}\n")[1].split("\n## ")[0]
        keys = {key for key, value in definition.get("properties", {}).items() if "const" not in value}
        assert keys == {*re.findall(r"(?m)^\| `(\w+)` \|", section)}
    assert page.index("`kind: grouping`") < page.index("`kind: retention`")


WRITTEN = {
    path: hooks.OF_THE_ROOT.get(path, path.removeprefix("docs/"))
    for path in [
        *hooks.OF_THE_ROOT,
        *sorted(file.relative_to(ROOT).as_posix() for file in ROOT.glob("docs/**/*.md")),
    ]
}


@pytest.mark.parametrize("path", WRITTEN)
def test_pages_have_the_same_parts_as_in_the_repository(path, pages):
    # Markdown of a hosting page and of the site differ in lists and tables that stand too close to text.
    read = MarkdownIt("commonmark").enable("table").parse((ROOT / path).read_text(encoding="utf-8"))
    wanted = {}
    for token in read:
        if token.nesting >= 0 and token.tag:
            tag = "pre" if token.type in ("fence", "code_block") else token.tag
            wanted[tag] = wanted.get(tag, 0) + 1
    found = pages[WRITTEN[path].removesuffix(".md") + ".html"].counts
    for tag in ("h1", "h2", "h3", "li", "pre", "table", "tr", "blockquote"):
        assert found.get(tag, 0) == wanted.get(tag, 0), tag


def test_pages_say_nothing_of_tests(site):
    assert not [file for file in site.rglob("*.html") if "<!-- test:" in file.read_text(encoding="utf-8")]


def test_patterns_of_the_navigation_take_what_is_named_nowhere_else():
    nav = [
        {"Start": ["index.md"]},
        {"Tutorials": ["tutorials/first.md", "tutorials/*"]},
        {"Coming from": ["coming-from/*"]},
        {"Results": ["results/*"]},
        {"FAQ": "faq*"},
        {"Python": [{"cotune": "api/cotune.md"}, "api/*"]},
    ]
    pages = [
        "api/a.md",
        "api/cotune.md",
        "faq.md",
        "index.md",
        "results/2026-01-02-a.md",
        "results/2026-02-01-b.md",
    ]
    pages += ["tutorials/also.md", "tutorials/first.md"]
    assert hooks.written_out(nav, pages) == [
        {"Start": ["index.md"]},
        {"Tutorials": ["tutorials/first.md", "tutorials/also.md"]},
        {"Results": ["results/2026-02-01-b.md", "results/2026-01-02-a.md"]},
        {"FAQ": "faq.md"},
        {"Python": [{"cotune": "api/cotune.md"}, "api/a.md"]},
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[there](other.md#part)", None),
        ("[there](missing.md)", "missing.md"),
        ("[there](other.md#nowhere)", "nowhere"),
        ("[there](#nowhere)", "nowhere"),
        ("[there](/other.md)", "absolute"),
        ("[there](other)", "other"),
        ("![there](missing.png)", "missing.png"),
    ],
)
def test_what_leads_nowhere_fails(text, expected, tmp_path, caplog):
    told = warnings_of(tmp_path, {"index.md": f"# One\n\n{text}\n", "other.md": "# Two\n\n## Part\n"}, caplog)
    assert [expected in line for line in told] == ([] if expected is None else [True])


def test_a_page_that_the_navigation_lacks_fails(tmp_path, caplog):
    files = {"index.md": "# One\n", "other.md": "# Two\n", "third.md": "# Three\n"}
    assert "third.md" in " ".join(warnings_of(tmp_path, files, caplog))


def warnings_of(folder, files, caplog):
    """Build a site of two pages with the validation of ours; return what it is warned of."""
    (folder / "docs").mkdir()
    for name, text in files.items():
        (folder / "docs" / name).write_text(text, encoding="utf-8")
    ours = re.search(r"(?ms)^validation:.*?(?=^\S)", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))[0]
    settings = {"site_name": "two", "theme": "mkdocs", "nav": ["index.md", "other.md"], "plugins": []}
    (folder / "mkdocs.yml").write_text(yaml.safe_dump(settings | yaml.safe_load(ours)), encoding="utf-8")
    build(mkdocs.config.load_config(str(folder / "mkdocs.yml")))
    levels = ("WARNING", "ERROR")
    return [record.message for record in caplog.records if record.levelname in levels]


@pytest.mark.parametrize(
    ("uri", "text", "expected"),
    [
        ("index.md", "[a](docs/data.md#rows), [b](docs/results)", "[a](data.md#rows), [b](results/index.md)"),
        (
            "index.md",
            "[c](CONTRIBUTING.md) [d](#here) [e](https://a.b)",
            "[c](contributing.md) [d](#here) [e](https://a.b)",
        ),
        ("results/x.md", "[a](../data.md) [b](../../README.md)", "[a](../data.md) [b](../index.md)"),
        ("data.md", "[a](../examples/toy_groups.yaml)", "[a](sources/examples/toy_groups.yaml.md)"),
        ("data.md", "[a](../examples/none.yaml)", "[a](../examples/none.yaml)"),
        (
            "data.md",
            "```text\n[a](../README.md)\n```\n[b](../README.md)",
            "```text\n[a](../README.md)\n```\n[b](index.md)",
        ),
        ("index.md", '<img alt="a" src="docs/assets/favicon.svg">', '<img alt="a" src="assets/favicon.svg">'),
        ("index.md", "a\n\n<!-- test: demo -->\n```bash\nls\n```\n", "a\n\n```bash\nls\n```\n"),
    ],
)
def test_links_of_the_repository_get_addresses_of_the_site(uri, text, expected):
    page = SimpleNamespace(file=SimpleNamespace(src_uri=uri))
    assert hooks.on_page_markdown(text, page, None, None) == expected


def test_a_picture_that_is_not_there_is_told(caplog):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    hooks.on_page_markdown(
        '<img src="docs/assets/none.svg"> <img src="docs/assets/favicon.svg">', page, None, None
    )
    assert ["none.svg" in record.message for record in caplog.records] == [True]
    assert caplog.records[0].levelname == "WARNING"


def test_files_that_pages_link_to_are_shown(site):
    shown = {file.relative_to(site / "sources").as_posix() for file in (site / "sources").rglob("*.html")}
    assert "examples/natural_instructions.yaml.html" in shown
    assert Path(site, "index.html").is_file()

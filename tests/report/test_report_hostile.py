"""Nothing of names, instructions, examples and errors gets out of its place in a page."""

import dataclasses
import re
import shutil
import subprocess

import pytest
from page import Page
from samples import grouping, retention, transfer

from cotune.findings.retention import retention_findings
from cotune.findings.transfer import transfer_findings
from cotune.report import render_report

MARK = "harmed"
EVIL = [
    f"<script>document.documentElement.id='{MARK}'</script>",
    f"</td></table></main><img src=x onerror=\"document.documentElement.id='{MARK}'\">",
    f"' onmouseover='document.documentElement.id=`{MARK}`' x='",
    f'" style="background:url(http://x/{MARK})" onfocus=alert(1) autofocus x="',
    f"</svg></style><style>html{{--{MARK}:1}}</style>",
    f"</title><meta http-equiv=refresh content='0;url=http://x/{MARK}'>",
    f"<!-- {MARK} --><![CDATA[ ]]>",
    f"javascript:document.documentElement.id='{MARK}'",
    "{{ 7*7 }}{% raw %}{# x #}",
    "&lt;b&gt;&#x3c;i>",
    "\x1b[31m\x00\u202e\u2066",
    "${7*7} `x` \\u003cscript>",
]
NAMED = ("name", "task", "arm", "label", "title", "instruction", "category", "method")
PAGES = {
    "language": (grouping.language_report, lambda data: data),
    "retention": (retention.retention_report, retention_findings),
    "transfer": (transfer.transfer_report, transfer_findings),
}
"""Numbers with known shapes, and what is drawn of them."""


def names_in(data):
    """Yield the texts that are names: of tasks, arms, methods and groups."""
    if isinstance(data, str):
        return
    if dataclasses.is_dataclass(data):
        for field in dataclasses.fields(data):
            value = getattr(data, field.name)
            if field.name in NAMED and isinstance(value, str):
                yield value
            yield from names_in(value)
    elif isinstance(data, list | tuple | set | frozenset):
        for one in data:
            yield from names_in(one)
    elif isinstance(data, dict):
        yield from (key for key in data if isinstance(key, str))
        yield from names_in(list(data.values()))


def renamed(data, names):
    """Return findings with other names, wherever they stand."""
    if isinstance(data, str):
        return names.get(data, data)
    if dataclasses.is_dataclass(data):
        fields = {f.name: renamed(getattr(data, f.name), names) for f in dataclasses.fields(data) if f.init}
        return type(data)(**fields)
    if isinstance(data, list | tuple | set | frozenset):
        return type(data)(renamed(one, names) for one in data)
    if isinstance(data, dict):
        return {renamed(key, names): renamed(value, names) for key, value in data.items()}
    return data


def hostile(page):
    data = PAGES[page][0]()
    # Names of a letter are axes, and some words are choices that the page makes itself.
    kept = {"grouped", "joint", "single", "random", "accuracy", "f1", "exact_match", "rouge_l", "nll"}
    found = [name for name in dict.fromkeys(names_in(data)) if len(name) > 1 and name not in kept]
    return renamed(data, {name: f"{EVIL[at % len(EVIL)]} {at}" for at, name in enumerate(found)}), found


@pytest.fixture(scope="module")
def pages():
    return {page: render_report(PAGES[page][1](hostile(page)[0])) for page in PAGES}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_hostile_names_has_the_tags_of_one_of_plain_names(pages, name):
    assert len(hostile(name)[1]) > 5
    plain, page = Page(render_report(PAGES[name][1](PAGES[name][0]()))), Page(pages[name])
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags}
    assert {key for _, tag in page.tags for key in tag} <= {key for _, tag in plain.tags for key in tag}
    assert not page.find("script")
    leading = [
        tag[key] for _, tag in page.tags for key in ("href", "src", "action", "xlink:href") if key in tag
    ]
    assert all(value.startswith("#") for value in leading)
    (policy,) = (tag for tag in page.find("meta") if "http-equiv" in tag)
    assert policy["content"].startswith("default-src 'none'")
    assert MARK in page.text, "the names are shown"
    assert not re.search("[\x00\x1b\u202e\u2066]", pages[name])


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium")
def test_a_browser_runs_nothing_of_hostile_names(pages, tmp_path):
    file = tmp_path / "page.html"
    # The same names on a page without any policy: escaping alone has to do.
    file.write_text(re.sub(r"<meta http-equiv.*?>", "", "".join(pages.values())), encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", file.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    assert "</html>" in shown
    assert not re.search(rf"<html[^>]*id=.{MARK}", shown)
    assert "<script" not in shown
    assert "<img" not in shown

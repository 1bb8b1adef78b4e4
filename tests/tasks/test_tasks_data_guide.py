"""The data guide has a page for every shape of rows that is recognised; tests/documents runs them."""

import json
import re
from pathlib import Path

from cotune.tasks.readers.shapes import Shape, recognise

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((DOCS / "formats").glob("*.md"))}


def shapes():
    """Return the classes of shapes, by name."""
    found, left = {}, [Shape]
    while left:
        left += (subclasses := left.pop().__subclasses__())
        found |= {one.__name__: one for one in subclasses}
    return found


def test_every_shape_has_rows_on_a_page():
    met = set()
    for page in PAGES.values():
        for text in re.findall(r"```jsonl\n(.*?)```", page, flags=re.DOTALL):
            rows = [("a line", json.loads(line)) for line in text.splitlines()]
            met.add(type(recognise(rows, "rows.jsonl", "all")).__name__)
    assert met == shapes().keys()


def test_the_index_leads_to_every_page():
    linked = set(re.findall(r"\]\(formats/([\w-]+\.md)\)", (DOCS / "data.md").read_text(encoding="utf-8")))
    assert linked == PAGES.keys()


def test_every_page_shows_what_a_command_says_of_its_rows():
    for name, page in PAGES.items():
        assert re.search(r"^\$ cotune preview ", page, flags=re.MULTILINE), name

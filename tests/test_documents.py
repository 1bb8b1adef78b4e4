"""What documents say holds: paths and tables are those of the house. tests/documents runs their blocks."""

import re
from pathlib import Path

import pytest
from test_rooms import ROOMS

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"]
DOCUMENTS += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("**/*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / document).parent / target).exists(), target


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_paths_are_those_of_the_project(document):
    text = re.sub(r"^```.*?^```", "", (ROOT / document).read_text(encoding="utf-8"), flags=re.M | re.S)
    paths = {path for path in re.findall(r"`([\w./-]+)`", text) if "/" in path and ".." not in path}
    assert len(paths) > 5
    for path in paths:
        # Of a file that is to be written the folder is there.
        real = Path(path).parent if "NAME" in Path(path).name else path
        assert (ROOT / real).exists() or (ROOT / "src" / "cotune" / real).exists(), path


def test_the_table_of_the_house_is_the_one_that_is_tested():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| ([^|]*) \|$", text, flags=re.MULTILINE))
    assert set(rows) == {*ROOMS, "cli"}
    above = set()
    for room, cell in rows.items():
        told = {"-": set(), "all above": set(above)}.get(cell, set(cell.split(", ")))
        assert ROOMS.get(room, above) <= told if cell == "all above" else ROOMS[room] == told, room
        above.add(room)


def test_the_commands_to_make_are_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M))
    for document in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        lines = re.findall(r"^make ([a-z -]+?) *(?:#|$)", text, flags=re.M)
        asked = {word for line in lines for word in line.split()} | set(re.findall(r"`make ([a-z-]+)`", text))
        assert asked
        assert asked <= targets

"""The picture on top of the README: it is there, small, and can be drawn anew from a report of today."""

import re
import shutil
import struct
import sys
from pathlib import Path

import pytest
from samples import grouping as samples

from cotune.report import render_report

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from picture import BROWSERS, CLOSER, PICTURE, SCALE, SIZE, closer, draw  # noqa: E402


def size_of(path):
    """Return width and height of a PNG."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def test_the_readme_opens_with_it_and_says_what_it_shows():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    alternative, path = re.match(r"# cotune\n\n!\[([^\]]+)\]\(([^)]+)\)", readme).groups()
    assert ROOT / path == PICTURE
    assert len(alternative) > 40
    assert size_of(PICTURE) == tuple(round(length * SCALE) for length in SIZE)
    assert PICTURE.stat().st_size < 200_000


@pytest.fixture(scope="module")
def report():
    return render_report(samples.language_report())


def test_a_report_of_today_has_the_parts_that_are_shown(report):
    page = closer(report)
    assert "Content-Security-Policy" in report
    assert "Content-Security-Policy" not in page
    assert CLOSER in page
    for part in set(re.findall(r"#(\w+) ~", CLOSER)):
        assert f'id="{part}"' in page
    for part in set(re.findall(r"main > \.(\w+)", CLOSER)):
        assert f'class="{part}"' in page


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="needs Chromium")
def test_it_can_be_drawn(report, tmp_path):
    (tmp_path / "report.html").write_text(report, encoding="utf-8")
    draw(tmp_path / "report.html", tmp_path / "drawn" / "picture.png")
    assert size_of(tmp_path / "drawn" / "picture.png") == size_of(PICTURE)
    assert (tmp_path / "drawn" / "picture.png").stat().st_size > 20_000

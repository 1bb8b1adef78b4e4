"""Colours can be told apart from what they stand on, in light and in dark surroundings."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

import cotune.report
from cotune.report import palette

TEMPLATES = Path(cotune.report.__file__).parent / "templates"
THEMES = {"light": palette.LIGHT, "dark": palette.DARK}


def luminance(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_guidelines():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_written_can_be_read(theme):
    colours = THEMES[theme]
    for under, written in palette.TEXT_ON.items():
        for name in written:
            assert contrast(colours[name], colours[under]) >= 4.5, (name, under)


@pytest.mark.parametrize("theme", THEMES)
def test_marks_stand_out(theme):
    colours = THEMES[theme]
    for name in ("axis", "hatch"):
        assert contrast(colours[name], colours["page"]) >= 2, name


@pytest.mark.parametrize("dark", [False, True])
def test_scales_lead_away_from_the_page(dark):
    page = (palette.DARK if dark else palette.LIGHT)["page"]
    away = [contrast(colour, page) for colour in palette.scale("f", dark=dark)]
    assert all(b > a - 0.05 for a, b in pairwise(away))
    assert away[-1] > 4.5
    spread = [contrast(colour, page) for colour in palette.scale("d", dark=dark)]
    middle = palette.LEVELS // 2
    assert spread.index(min(spread)) in range(middle - 3, middle + 3)
    assert min(spread[0], spread[-1]) > 4.5


def test_style_sheets_and_drawings_name_colours_of_the_palette_only():
    assert palette.LIGHT.keys() == palette.DARK.keys()
    used = set()
    for file in TEMPLATES.iterdir():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"#[0-9a-f]{3,8}\b|\b(?:rgb|hsl)a?\(", text), file.name
        used |= set(re.findall(r"var\(--([\w-]+)\)", text))
    assert used <= palette.LIGHT.keys()


def test_what_text_is_coloured_by_is_declared_as_written():
    text = "".join(file.read_text(encoding="utf-8") for file in TEMPLATES.glob("*.css"))
    written = set(re.findall(r"(?<![\w-])color: var\(--([\w-]+)\)", text))
    assert written <= {name for names in palette.TEXT_ON.values() for name in names}

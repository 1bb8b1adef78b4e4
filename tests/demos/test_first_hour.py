"""The page of the first hour says what its commands print."""

import re

import pytest
from first_hour import PAGE, STARTS, make_page


def masked(text):
    """Return a text without numbers, which machines round as they like, and how long things took."""
    text = re.sub(r"(?m)^.*runs? in .*\n", "", text)
    return re.sub(r"-?\d[\d.,]*", "#", text)


@pytest.mark.demo
def test_the_page_is_what_the_commands_print():
    assert masked(make_page()) == masked(PAGE.read_text(encoding="utf-8"))


def test_no_start_takes_more_than_four_commands():
    sections = PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    assert len(sections) == len(STARTS) == 5
    for start, section in zip(STARTS, sections, strict=True):
        typed = re.findall(r"(?m)^\$ (.*)$", section)
        assert typed == list(start.commands)
        assert 1 <= len(typed) <= 4

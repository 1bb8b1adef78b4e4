"""Numbers in words."""

import math

import pytest

from cotune.findings.wording import DASH, MINUS, count, duration, format_number, percent, significant, size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (1234.5, "1234"),
        (-0.01234, f"{MINUS}0.0123"),
        (9e-7, f"9.00e{MINUS}07"),
        (math.nan, DASH),
    ],
)
def test_significant_digits(value, text):
    assert significant(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (41.2, "41 s"),
        (59.99, "60 s"),
        (185, "3 min 5 s"),
        (8040, "2 h 14 min"),
        (math.nan, DASH),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(512, "512 bytes"), (1_200_000, "1.2 MB"), (612_000, "612 kB"), (2.5e9, "2.5 GB"), (math.nan, DASH)],
)
def test_sizes(n_bytes, text):
    assert size(n_bytes) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.94, "94"),
        (1.2745, "127"),
        (0.0994, "9.9"),
        (0.0996, "10"),
        (-0.05, f"{MINUS}5.0"),
        (0.0, "0.0"),
    ],
)
def test_shares_have_a_decimal_below_ten_percent_and_stay_on_one_line(share, text):
    assert percent(share) == f"{text}\N{NO-BREAK SPACE}%"


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.5, "+2.5"), (-0.001, "0.0"), (-2.0, f"{MINUS}2.0"), (math.nan, "unknown")],
)
def test_signs_are_real_and_zero_has_none(value, text):
    assert format_number(value, 1, signed=True) == text


def test_counts_agree_with_their_nouns():
    assert (count(1, "task"), count(1200, "task"), count(2, "index", "indices")) == (
        "1 task",
        "1,200 tasks",
        "2 indices",
    )

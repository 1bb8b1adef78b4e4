"""Numbers in words: as many digits as they deserve, a real minus sign, and a dash where nothing is known."""

from __future__ import annotations

import math

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
"""Shown where there is no value."""
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def format_number(value: float, decimals: int, *, signed: bool = False) -> str:
    """Fixed-point text of a number, with a minus sign (U+2212) and, if ``signed``, a plus sign.

    A value that rounds to zero has no sign.

    Examples
    --------
    >>> format_number(2.5, 1, signed=True), format_number(-0.001, 1, signed=True)
    ('+2.5', '0.0')
    """
    if math.isnan(value):
        return "unknown"
    text = f"{abs(value):.{decimals}f}"
    if not float(text):
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def significant(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """Text of a number with about ``digits`` significant digits; a dash where it is not finite."""
    if not math.isfinite(value):
        return DASH
    magnitude = math.floor(math.log10(abs(value))) if value else 0
    if magnitude < -4 or magnitude > 6:
        return f"{value:.{digits - 1}e}".replace("-", "\N{MINUS SIGN}")
    return format_number(value, max(digits - 1 - magnitude, 0), signed=signed)


def duration(seconds: float) -> str:
    """Text of a time: ``"41 s"``, ``"3 min 5 s"``, ``"2 h 14 min"``."""
    if not math.isfinite(seconds):
        return DASH
    if seconds < 60:
        return f"{significant(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def count(number: int, noun: str, plural: str = "") -> str:
    """Text of a count with its noun: ``"1 task"``, ``"1,200 tasks"``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def size(n_bytes: float) -> str:
    """Text of a size: ``"512 bytes"``, ``"1.2 MB"``."""
    if not math.isfinite(n_bytes):
        return DASH
    power = 0
    while n_bytes >= 999.5 and power < len(_UNITS) - 1:
        n_bytes, power = n_bytes / 1000, power + 1
    return f"{significant(n_bytes, 2) if n_bytes < 100 and power else round(n_bytes)} {_UNITS[power]}"


def percent(share: float) -> str:
    """Text of a share in whole percent, with a decimal below ten."""
    # The blank does not break, so that number and sign stay on one line.
    return f"{percent_number(share)}\N{NO-BREAK SPACE}%"


def percent_number(share: float) -> str:
    """Text of a share in percent without the sign."""
    return format_number(100 * share, 0 if abs(share) >= 0.0995 else 1)

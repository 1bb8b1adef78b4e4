"""Estimates in words: as many digits as the margin supports, and a real minus sign."""

from __future__ import annotations

import math

from cotune.evaluation.comparison._types import Estimate

MINUS = "\N{MINUS SIGN}"


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


def decimals_for(estimate: Estimate) -> int:
    """Decimals that show two digits of what is known of the uncertainty, or else three of the mean."""
    uncertainties = (estimate.margin, estimate.se_examples, estimate.se_seeds)
    scale, digits = next(((u, 2) for u in uncertainties if u > 0), (abs(estimate.mean), 3))
    if not scale > 0:
        return 2
    return min(max(digits - 1 - math.floor(math.log10(scale)), 0), 8)


def format_gain(estimate: Estimate, *, signed: bool = True) -> str:
    """Mean and 95 % margin of a gain, such as ``"+0.021 ± 0.008"``.

    Where the margin is unknown the text says so instead of leaving it out.
    """
    decimals = decimals_for(estimate)
    mean = format_number(estimate.mean, decimals, signed=signed)
    if math.isnan(estimate.margin):
        return f"{mean} (margin unknown)"
    return f"{mean} ± {format_number(estimate.margin, decimals)}"

"""The colours of pages in light and dark surroundings; style sheets and drawings know their names alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVELS = 32
"""Steps of a scale of colours."""

LIGHT = {
    "page": "#ffffff",
    "wash": "#f3f6f9",
    "ink": "#1b1f24",
    "soft": "#57606a",
    "accent": "#24477a",
    "gain": "#0060a8",
    "loss": "#a8410a",
    "open": "#646d76",
    "line": "#d8dee4",
    "axis": "#8c959f",
    "unknown": "#dfe4e9",
    "hatch": "#a8b1ba",
    "series-0": "#0060a8",
    "series-1": "#b3470b",
    "series-2": "#1a7a46",
    "series-3": "#8a4fb0",
    "series-4": "#5c4a1e",
    "series-5": "#c2337f",
    "series-6": "#0d7a86",
    "series-7": "#57606a",
}
DARK = {
    "page": "#14181d",
    "wash": "#1e242b",
    "ink": "#e4e8ec",
    "soft": "#a3adb7",
    "accent": "#8ab8f5",
    "gain": "#6cb3f5",
    "loss": "#f2955e",
    "open": "#97a1ab",
    "line": "#363e47",
    "axis": "#6e7883",
    "unknown": "#333a42",
    "hatch": "#5c6670",
    "series-0": "#6cb3f5",
    "series-1": "#f2955e",
    "series-2": "#62c58e",
    "series-3": "#c99bea",
    "series-4": "#cdb277",
    "series-5": "#f087b8",
    "series-6": "#5bc4cf",
    "series-7": "#a3adb7",
}
TEXT_ON = {
    "page": ("ink", "soft", "accent", "gain", "loss", "open", *(f"series-{i}" for i in range(8))),
    "wash": ("ink", "soft", "accent", "gain", "loss"),
    "accent": ("page",),
}
"""What is written on what: pairs whose contrast is at least 4.5 in both."""

_SCALES = {
    # Of two hues about a middle that is near to the page, and of one that leads away from it.
    "d": (
        ("#b2182b", "#d6604d", "#f4a582", "#fddbc7", "#f7f7f7", "#d1e5f0", "#92c5de", "#4393c3", "#2166ac"),
        ("#ff9a76", "#d9694a", "#96432f", "#553029", "#262c33", "#263c56", "#2b5f97", "#4a93d9", "#93c6fb"),
    ),
    "f": (
        ("#f3f7fb", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c"),
        ("#20262d", "#1f3042", "#20436a", "#285e98", "#357cc4", "#569be0", "#81b9f2", "#b3d6fb"),
    ),
}


def scale(kind: str, *, dark: bool = False) -> tuple[str, ...]:
    """Return the colours of a scale from its low end to its high end.

    Parameters
    ----------
    kind : {"d", "f"}
        Diverging, red to blue, or for frequencies.
    dark : bool
        For dark surroundings.
    """
    return _between(_SCALES[kind][dark])


def classes(kind: str) -> tuple[str, ...]:
    """Return the names that drawings call the colours of a scale by."""
    return tuple(f"{kind}{level}" for level in range(LEVELS))


def css() -> str:
    """Return the style sheet's colours: as custom properties, and those of scales as classes."""
    night = "".join(f"\n  {rule}" for rule in _rules(DARK, dark=True))
    return "\n".join(
        [*_rules(LIGHT, dark=False), f"@media screen and (prefers-color-scheme: dark) {{{night}\n}}"]
    )


def _rules(colours: dict[str, str], *, dark: bool) -> list[str]:
    properties = " ".join(f"--{name}: {colour};" for name, colour in colours.items())
    rules = [f":root {{ color-scheme: {'dark' if dark else 'light'}; {properties} }}"]
    rules += [
        " ".join(
            f".{name}{{color:{colour}}}"
            for name, colour in zip(classes(kind), scale(kind, dark=dark), strict=True)
        )
        for kind in _SCALES
    ]
    return rules


def _between(stops: Sequence[str]) -> tuple[str, ...]:
    """Return colours between stops that are equally far apart."""
    values = np.array([[int(stop[at : at + 2], 16) for at in (1, 3, 5)] for stop in stops])
    places = np.linspace(0, len(stops) - 1, LEVELS)
    channels = [np.interp(places, np.arange(len(stops)), channel) for channel in values.T]
    return tuple(
        "#" + "".join(f"{round(float(c)):02x}" for c in colour) for colour in zip(*channels, strict=True)
    )

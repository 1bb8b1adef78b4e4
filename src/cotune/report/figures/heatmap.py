"""Geometry and colours of a heat map over pairs of tasks, ordered by group."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cotune.findings.wording import significant
from cotune.report import palette
from cotune.report.figures.axis import Axis
from cotune.report.layout import Layout, shorten

_WIDTH = 960.0
_LARGEST_CELL = 44.0
_GROUP_LABEL = 110.0
_SMALLEST_FONT = 3.0
_LETTER = 0.56
"""Mean width of a letter over its height, to reserve room for names."""
_SQUARES_UP_TO = 250
"""Squares on a side up to which every pair has its own; beyond, the page would weigh tens of megabytes."""
_TOOLTIPS_UP_TO = 40
"""Tasks up to which every cell carries its value; beyond, 10,000 tooltips would make the page heavy."""


@dataclass(frozen=True, slots=True)
class ColourScale:
    """Numbers to names of colours; values beyond the ends take the end colours, which ``clipped`` tells."""

    low: float
    high: float
    centre: float
    colours: tuple[str, ...]
    clipped: bool

    @classmethod
    def diverging(cls, values: npt.NDArray[np.float64], centre: float | None = None) -> ColourScale:
        """Scale centred as told, or at 0 where values have both signs, else at their median.

        The range covers 98 % of the entries off the diagonal, so that one extreme pair (or the diagonal,
        which is often of another kind) does not wash out the rest.
        """
        off_diagonal = values[~np.eye(len(values), dtype=bool)]
        known = off_diagonal[np.isfinite(off_diagonal)]
        if not known.size:
            known = values[np.isfinite(values)]
        if not known.size:
            known = np.zeros(1)
        if centre is None:
            centre = 0.0 if known.min() < 0 < known.max() else float(np.median(known))
        reach = float(np.quantile(np.abs(known - centre), 0.98)) or 1.0
        finite = values[np.isfinite(values)]
        clipped = bool(finite.size and np.abs(finite - centre).max() > reach * (1 + 1e-9))
        return cls(centre - reach, centre + reach, centre, palette.classes("d"), clipped)

    @classmethod
    def frequency(cls) -> ColourScale:
        """Scale for frequencies from 0 to 1."""
        return cls(0.0, 1.0, 0.5, palette.classes("f"), False)

    def fills(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
        """Name of the colour of every value, the empty string where it is unknown."""
        share = (np.nan_to_num(values) - self.low) / (self.high - self.low)
        levels = np.clip(share * len(self.colours), 0, len(self.colours) - 1).astype(int)
        return np.where(np.isfinite(values), np.array(self.colours)[levels], "")

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Ticks as (share of the range, text)."""
        return Axis.over(self.low, self.high, 0.0, 1.0, ticks=5).ticks


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A cell with its tooltip; ``fill`` is empty where the value is unknown."""

    x: float
    y: float
    fill: str
    tooltip: str


@dataclass(frozen=True, slots=True)
class HeatLabel:
    """A text at a coordinate along its axis; ``full`` is the name before shortening."""

    at: float
    text: str
    full: str
    number: int
    font: float


@dataclass(frozen=True, slots=True)
class HeatBlock:
    """A group: its block on the diagonal and its label."""

    start: float
    size: float
    label: HeatLabel


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Everything the template draws; lengths in px."""

    key: str
    alt: str
    cell: float
    side: float
    left: float
    top: float
    width: float
    height: float
    font: float
    rows: tuple[HeatLabel, ...]
    columns: tuple[HeatLabel, ...]
    cells: tuple[HeatCell, ...]
    paths: tuple[tuple[str, str], ...]
    mirrored: bool
    """Whether ``paths`` are the upper half of a symmetric map, and the lower is its mirror image."""
    stripes: tuple[HeatLabel, ...]
    """Whole rows that name their tasks under the pointer, where cells are too many to."""
    blocks: tuple[HeatBlock, ...]
    scale: ColourScale
    centre: str
    unknown: int
    square: float
    """Side of a square of ``paths``."""
    merged: int
    """Rows and columns of pairs that a square is the mean of."""


def heat_map(
    key: str,
    alt: str,
    values: npt.NDArray[np.float64],
    layout: Layout,
    scale: ColourScale,
    tooltip: Callable[[int, int], str],
) -> HeatMap:
    """Lay out a heat map.

    Parameters
    ----------
    key : str
        Unique within the page.
    alt : str
        Text alternative.
    values : array of shape (n, n)
        In the order of the report's tasks; NaN is drawn hatched.
    layout : Layout
        Order and groups.
    scale : ColourScale
        Colours.
    tooltip : callable
        Text for task indices (i, j).
    """
    n = len(layout.names)
    right = _GROUP_LABEL if layout.spans else 4.0
    font = min(13.0, max(640 / n, _SMALLEST_FONT))
    letters = min(max(len(name) for name in layout.names), int(230 / (_LETTER * font)))
    left = (letters * _LETTER + 0.6 * len(str(n))) * font + 14
    cell = min(_LARGEST_CELL, (_WIDTH - left - right) / n)
    top = font * 1.6
    side = cell * n
    shown = values[np.ix_(layout.order, layout.order)]
    merged = math.ceil(n / _SQUARES_UP_TO)
    fills = scale.fills(_merge(shown, merged))
    mirrored = n > _TOOLTIPS_UP_TO and np.array_equal(fills, fills.T)
    return HeatMap(
        key=key,
        alt=alt,
        cell=cell,
        side=side,
        left=left,
        top=top,
        width=left + side + right,
        height=top + side + 4,
        font=font,
        rows=_row_names(layout, cell, font, letters),
        columns=_column_numbers(n, cell, font),
        cells=_cells(scale.fills(shown), layout, cell, tooltip) if n <= _TOOLTIPS_UP_TO else (),
        paths=_paths(fills, mirrored) if n > _TOOLTIPS_UP_TO else (),
        mirrored=mirrored,
        stripes=_stripes(layout, cell) if n > _TOOLTIPS_UP_TO else (),
        blocks=_blocks(layout, cell, font),
        scale=scale,
        centre=significant(scale.centre, 2),
        unknown=int((~np.isfinite(shown)).sum()),
        square=side / len(fills),
        merged=merged,
    )


def _merge(values: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """Average ``count`` x ``count`` blocks of entries over what is known in them."""
    if count == 1:
        return values
    starts = np.arange(0, len(values), count)

    def summed(array: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(np.add.reduceat(np.add.reduceat(array, starts, axis=0), starts, axis=1))

    known = summed(np.isfinite(values).astype(float))
    with np.errstate(invalid="ignore"):
        return summed(np.nan_to_num(values)) / known


def _row_names(layout: Layout, cell: float, font: float, letters: int) -> tuple[HeatLabel, ...]:
    """Label the rows with names: all of them, or every so many where they would run into each other."""
    step = math.ceil(0.92 * font / cell)
    return tuple(
        HeatLabel((i + 0.5) * cell, shorten(name, letters), name, i + 1, font)
        for i, name in enumerate(layout.names)
        if i % step == 0
    )


def _stripes(layout: Layout, cell: float) -> tuple[HeatLabel, ...]:
    groups = [span.name for span in layout.spans for _ in range(span.size)] or [""] * len(layout.names)
    return tuple(
        HeatLabel((i + 0.5) * cell, group, name, i + 1, cell)
        for i, (name, group) in enumerate(zip(layout.names, groups, strict=True))
    )


def _column_numbers(n: int, cell: float, font: float) -> tuple[HeatLabel, ...]:
    """Label the columns with positions, as many as fit beside each other."""
    steps = (1, 5, 10, 20, 50, 100, 500)
    step = next((s for s in steps if s * cell > 0.62 * font * len(str(n)) + 3), n)
    numbers = [i for i in range(1, n + 1) if i == 1 or i % step == 0]
    return tuple(HeatLabel((i - 0.5) * cell, str(i), "", i, font) for i in numbers)


def _cells(
    fills: npt.NDArray[np.str_], layout: Layout, cell: float, tooltip: Callable[[int, int], str]
) -> tuple[HeatCell, ...]:
    return tuple(
        HeatCell(column * cell, row * cell, str(fill), tooltip(layout.order[row], layout.order[column]))
        for (row, column), fill in np.ndenumerate(fills)
    )


def _paths(fills: npt.NDArray[np.str_], mirrored: bool) -> tuple[tuple[str, str], ...]:
    """Join cells of one colour into one path, runs of a row into one stroke through their middle.

    The unit is a cell. Moves are relative, which takes a third of the letters.
    """
    parts: dict[str, list[str]] = defaultdict(list)
    pens: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row, colours in enumerate(fills):
        first = row if mirrored else 0
        starts = [first, *(np.flatnonzero(colours[first + 1 :] != colours[first:-1]) + first + 1).tolist()]
        for start, end in pairwise([*starts, len(colours)]):
            fill = str(colours[start])
            x, y = pens[fill]
            parts[fill].append(f"m{start - x} {row - y}h{end - start}")
            pens[fill] = (end, row)
    return tuple((fill, "".join(parts[fill])) for fill in sorted(parts))


def _blocks(layout: Layout, cell: float, font: float) -> tuple[HeatBlock, ...]:
    blocks = []
    for number, span in enumerate(layout.spans, 1):
        size = span.size * cell
        own_font = max(font, min(12.0, 0.8 * size))
        text = shorten(span.name, int((_GROUP_LABEL - 16) / (_LETTER * own_font)))
        middle = (span.start + span.size / 2) * cell
        blocks.append(
            HeatBlock(span.start * cell, size, HeatLabel(middle, text, span.name, number, own_font))
        )
    return tuple(blocks)

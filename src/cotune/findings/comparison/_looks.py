"""What each look at a comparison may spend, where it may stop at any of them.

A comparison that ends once it is decided has as many chances to be wrong as it has looks. So the 5 % are
spent over the looks (Lan and DeMets, 1983): up to a look with S of at most M seeds (S/M)^1.5 of them, which
leaves most for late looks without closing the early ones. The significance at which a single look is read
follows from the joint law of the t statistics at all looks. Between looks it is exact, not that of normal
approximations, which with few seeds are wrong a fifth more often than they say (simulated): of S values
without effect only the angle to equal values matters, the angles of growing S are a Markov chain, and one
more value r of the S + 1 on a sphere has the density (1 - r^2)^((S - 2) / 2).

What stays the same from look to look, as the test examples do, makes errors of the looks go together, so that
there are fewer of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import roots_jacobi, stdtr

from cotune._repr import Brief
from cotune.findings._plain import Plain

Values = npt.NDArray[np.float64]

Ending: TypeAlias = Literal[
    "decided",
    "depends on the budget",
    "nothing to choose",
    "hopeless",
    "most seeds",
    "most cost",
    "under way",
]
"""Why no further look follows."""

POWER = 1.5
"""Of the share of seeds, for the share of what is spent."""
_ANGLES, _NODES = 1000, 64
_KNOTS = np.logspace(-5, np.log10(0.5), 60)
"""Significances between which those of single tasks are interpolated; 20 err by an eighth at few seeds."""


@dataclass(frozen=True, slots=True)
class Look(Brief, Plain):
    """One of the looks at a comparison that ends once it is decided.

    Parameters
    ----------
    number : int
        Which it is, from 1.
    planned : tuple of int
        Seeds at every look, ascending; the last is the most there can be.
    trained : mapping of str to int
        By arm the last look that it was trained for: those found to be worse are trained no more. An arm
        that is missing has no part in the choice, is trained for the first look alone and read once.
    """

    number: int
    planned: tuple[int, ...]
    trained: Mapping[str, int]

    @property
    def seeds(self) -> int:
        """Training seeds of the arms that are trained on."""
        return self.planned[self.number - 1]

    @property
    def is_last(self) -> bool:
        """Whether no further look is planned."""
        return self.number == len(self.planned)

    def at(self, number: int) -> Look:
        """Return another of the looks."""
        return replace(self, number=number)

    def of(self, *arms: str) -> Look | None:
        """Return the look at which arms were last read together; None for arms that are read once."""
        if any(arm not in self.trained for arm in arms):
            return None
        return self.at(min(self.number, *(self.trained[arm] for arm in arms)))

    def significance(self, overall: float) -> float:
        """Return at what a statistic has to be significant here, so that over all looks it is ``overall``."""
        usable = tuple(seeds for seeds in self.planned if seeds > 1)
        if self.seeds < 2:
            return 0.0
        return nominal(usable, overall)[usable.index(self.seeds)]

    def overall(self, here: Values) -> Values:
        """Return what significances of this look amount to over all looks; NaN stays."""
        at = [self.significance(float(knot)) for knot in _KNOTS]
        if not at[0] > 0:
            return np.where(np.isnan(here), np.nan, 1.0)
        found = np.exp(np.interp(np.log(np.maximum(here, 1e-300)), np.log(at), np.log(_KNOTS)))
        # Beyond the knots the smallest of them is said, and 1 what is beyond the largest.
        return np.where(np.isnan(here), np.nan, np.where(here > at[-1], 1.0, found))


@dataclass(frozen=True, slots=True)
class LookTaken(Brief, Plain):
    """What one look saw.

    Parameters
    ----------
    number, seeds : int
        Which it was, from 1, and training seeds of the arms trained for it.
    arms : tuple of str
        The arms that were trained for it.
    significance : float
        At what one difference between two arms had to be significant, so that it is 5 % over all looks.
    decision : str
        The verdict over all budgets.
    chance : float
        How likely the last look planned would tell; NaN while no margin is known.
    minutes : float
        Processor minutes of all runs up to it.
    """

    number: int
    seeds: int
    arms: tuple[str, ...]
    significance: float
    decision: str
    chance: float
    minutes: float


@dataclass(frozen=True, slots=True)
class Course(Brief, Plain):
    """How a comparison that ends once it is decided went.

    Parameters
    ----------
    looks : tuple of LookTaken
        In their order.
    planned : tuple of int
        Seeds at every look that there could have been.
    ending : str
        Why no further look followed.
    sentence : str
        The same in words.
    """

    looks: tuple[LookTaken, ...]
    planned: tuple[int, ...]
    ending: Ending
    sentence: str


@lru_cache(maxsize=4096)
def nominal(seeds: Sequence[int], alpha: float) -> tuple[float, ...]:
    """Return the two-sided significance of every look at a t statistic of accumulating seeds.

    Parameters
    ----------
    seeds : tuple of int
        Seeds at every look, ascending, the first at least 2.
    alpha : float
        Probability of any of them being significant without an effect.
    """
    # Finer towards 0, where the clearest of statistics are.
    edges = np.pi / 2 * np.linspace(0, 1, _ANGLES + 1) ** 2
    angles = np.pi / 2 * ((np.arange(_ANGLES) + 0.5) / _ANGLES) ** 2
    count = seeds[0]
    mass = np.sin(angles) ** (count - 2) * np.diff(edges)
    mass /= mass.sum()
    found, spent = [], 0.0
    for wanted in seeds:
        while count < wanted:
            mass, count = _one_more(mass, angles, count), count + 1
        due = alpha * (wanted / seeds[-1]) ** POWER
        limit = _angle_of(due - spent, mass, edges)
        spent = due
        found.append(min(float(2 * stdtr(wanted - 1, -np.sqrt(wanted - 1) / np.tan(limit))), alpha))
        mass = mass * np.clip((edges[1:] - limit) / np.diff(edges), 0, 1)
    return tuple(found)


def _one_more(mass: Values, angles: Values, count: int) -> Values:
    """Return the law of the angle with one more value; what falls between two angles is shared by them."""
    shape = (count - 2) / 2
    values, weights = roots_jacobi(_NODES, shape, shape)
    along = np.sqrt(count) * np.cos(angles)[:, None] * np.sqrt(1 - values**2) + values
    turned = np.arccos(np.clip(np.abs(along) / np.sqrt(count + 1), 0, 1))
    place = np.sqrt(turned / (np.pi / 2)) * len(angles) - 0.5
    place = np.clip(place, 0, len(angles) - 1 - 1e-9).ravel()
    low = place.astype(int)
    share = (mass[:, None] * weights / weights.sum()).ravel()
    below = np.bincount(low, share * (1 - (place - low)), len(angles))
    above = np.bincount(low + 1, share * (place - low), len(angles) + 1)[: len(angles)]
    return np.asarray(below + above)


def _angle_of(probability: float, mass: Values, edges: Values) -> float:
    """Return the angle that leaves a probability below it."""
    reached = np.concatenate([[0.0], np.cumsum(mass)])
    return float(np.interp(probability, reached, edges))

"""What further looks at a comparison can still bring."""

from __future__ import annotations

import math
from dataclasses import replace

from scipy.special import ndtri, stdtr

from cotune.findings.comparison._choice import IN_GROUPS, Standing
from cotune.findings.comparison._looks import Look
from cotune.findings.comparison._statistics import margin_at, with_more
from cotune.findings.comparison._types import MeanWithMargin, Outlook

_FOUR_OF_FIVE = float(ndtri(0.8))


def outlook(standing: Standing) -> Outlook | None:
    """Say which arms may be the best and how likely the last look will tell; None where there is one."""
    if standing.look is None:
        return None
    return Outlook(
        look=standing.look.number,
        contenders=tuple(sorted(standing.contenders)),
        told_apart=tuple(sorted(standing.told_apart)),
        chance=_chance(standing, standing.look),
    )


def foreseen(gain: MeanWithMargin, seeds: int) -> MeanWithMargin:
    """Return a difference as it would be known with so many seeds."""
    return with_more(gain, seeds=seeds - gain.seeds)


def detectable(gain: MeanWithMargin, significance: float) -> float:
    """Return the true difference that is told apart from none in four studies of five.

    Parameters
    ----------
    gain : MeanWithMargin
        A difference with its spread.
    significance : float
        At which it has to hold.
    """
    return margin_at(gain, 1 - significance) + _FOUR_OF_FIVE * gain.stderr


def _chance(standing: Standing, look: Look) -> float:
    """Return how likely the last look planned tells the best of the arms, by what is known now.

    The mean at the last look is foreseen from the present one alone, with t for the few seeds behind its
    spread: some arm has to be beyond the margin of its difference to each of the others, of which the least
    likely is taken.
    """
    if standing.decided:
        return 1.0
    left = look.planned[-1] - look.seeds
    arms = standing.contenders
    last = replace(look, number=len(look.planned), trained=dict.fromkeys(arms, len(look.planned)))
    then = replace(standing.foreseen(seeds=left), look=last)

    def beats(arm: str, other: str) -> float:
        now, later = standing.gains[arm, other], then.gains[arm, other]
        if math.isnan(now.margin):
            return math.nan
        limit = margin_at(later, then.confidence_of((arm, other), standing.told_apart))
        moves = math.sqrt(max(now.se_seeds**2 - later.se_seeds**2, 0.0))
        if moves == 0:
            return float(now.mean > limit)
        return float(stdtr(now.dof_seeds, (now.mean - limit) / moves))

    chances = []
    for arm in arms:
        # Of two ways to train in these groups none has to beat the other.
        others = [other for other in arms if other != arm and not {arm, other} <= {*IN_GROUPS}]
        chances.append(min((beats(arm, other) for other in others), default=0.0))
    return max(chances, default=0.0)

"""Which way of training is the best of those that were tried, and what would tell where the runs do not.

The choice is among the groups, the groups after a part on all tasks, one model for each task and one model
for all, as far as they were trained. Their differences are judged together, by Shaffer's step-down procedure
(1986) for all pairs of several means: a difference must hold at 1 - 5 % / the number of pairs that can still
be equal, which is all of them at first. With three arms the clearest has to hold at 98.3 %, and once it does,
each of the others at 95 %; with four the clearest at 99.2 %, and once it does, at most three pairs can be
equal. All that is said of the arms, which is best and which are worse, is then wrong in 5 % of studies at
most, whatever the truth. With two arms there is one difference, at 95 %.

The groups and the groups after a joint part are two ways to train in these groups. Where they are not told
apart, but each of the other arms is worse than one of them, it is decided to train in these groups, and open
in which way.

Where a comparison is looked at repeatedly, a look has its own significance in place of 5 %
(:mod:`~cotune.findings.comparison._looks`), and what an earlier look told apart stays so: the first that is
false, at whatever look, is one of at most as many pairs as were allowed for.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from cotune.findings.comparison._looks import Look
from cotune.findings.comparison._statistics import margin_at, with_more
from cotune.findings.comparison._types import CONFIDENCE, Decision, MeanWithMargin, Needs

CHOICES: dict[str, Decision] = {
    "grouped": "train in these groups",
    "branched": "train together first, then in these groups",
    "single": "train each alone",
    "joint": "train together",
}
"""What follows where an arm is the best."""
_IN_WORDS = {
    "grouped": "these groups",
    "branched": "together first",
    "single": "each alone",
    "joint": "all together",
    "random": "random groups",
}
IN_GROUPS = ("grouped", "branched")
"""The arms that train in these groups, one way or the other."""
UNDECIDED: Decision = "not decided by these runs"
MOST_SEEDS, MOST_EXAMPLES = 100, 10_000
"""Further seeds and test examples a task up to which it is worth saying how many would decide."""

Pair = tuple[str, str]


def arm_words(arm: str) -> str:
    """Say how an arm trains the tasks, as it follows "over"; the name of one that a study named."""
    return _IN_WORDS.get(arm, arm)


@dataclass(frozen=True)
class Standing:
    """Where the arms of a choice stand to one another.

    Parameters
    ----------
    arms : tuple of str
        The one that does best, the one that is hardest to tell from it, and the others.
    gains : mapping of (str, str) to MeanWithMargin
        What the first of two arms gains over the second, both ways round.
    look : Look or None
        Which look this is; None where there is but one.
    told_before : frozenset of (str, str)
        The pairs that an earlier look has told apart.
    """

    arms: tuple[str, ...]
    gains: Mapping[Pair, MeanWithMargin]
    look: Look | None = None
    told_before: frozenset[Pair] = frozenset()

    @classmethod
    def of(
        cls,
        contrasts: Mapping[Pair, MeanWithMargin],
        look: Look | None = None,
        told_before: frozenset[Pair] = frozenset(),
    ) -> Standing:
        """Order arms of which every pair has a contrast, one way round."""
        gains = dict(contrasts)
        gains |= {(b, a): replace(gain, mean=-gain.mean) for (a, b), gain in contrasts.items()}
        arms = list(dict.fromkeys(arm for pair in contrasts for arm in pair))

        def lead(arm: str) -> float:
            return sum(gains[arm, other].mean for other in arms if other != arm)

        beaten = {worse for _, worse in told_before}
        best = max(arms, key=lambda arm: (arm not in beaten, lead(arm)))
        others = sorted(
            (arm for arm in arms if arm != best),
            key=lambda arm: (arm in beaten, _clearness(gains[best, arm])),
        )
        return cls((best, *others), gains, look, frozenset(pair for pair in told_before if pair in gains))

    @property
    def best(self) -> str:
        """The arm that does best, whether or not the runs tell."""
        return self.arms[0]

    @property
    def rival(self) -> str:
        """The arm that is hardest to tell from the best."""
        return self.arms[1]

    @property
    def confidence(self) -> float:
        """That at which the clearest of the differences has to hold."""
        return self.confidence_of((self.best, self.rival), self.told_before)

    def confidence_of(self, pair: Pair, told: frozenset[Pair]) -> float:
        """Return that at which a difference has to hold, where some pairs are told apart."""
        share = (1 - CONFIDENCE) / max(1, most_equal(self.arms, told))
        look = self.look.of(*pair) if self.look is not None else None
        return 1 - (share if look is None else look.significance(share))

    @cached_property
    def told_apart(self) -> frozenset[Pair]:
        """The pairs of which the first is better than the second, by this look or an earlier one."""
        told = self.told_before
        while True:
            new = {
                pair
                for pair, gain in self.gains.items()
                if pair not in told
                and pair[::-1] not in told
                and _beyond(gain, self.confidence_of(pair, told))
            }
            if not new:
                return told
            told = told | new

    @property
    def contenders(self) -> tuple[str, ...]:
        """The arms that none was found to be better than."""
        beaten = {worse for _, worse in self.told_apart}
        return tuple(arm for arm in self.arms if arm not in beaten)

    @property
    def decided(self) -> bool:
        """Whether there is one contender, or all of them train in these groups."""
        return len(self.contenders) == 1 or (bool(self.contenders) and {*self.contenders} <= {*IN_GROUPS})

    @property
    def decision(self) -> Decision:
        """What follows."""
        if not self.decided:
            return UNDECIDED
        return CHOICES[self.contenders[0] if len(self.contenders) == 1 else IN_GROUPS[0]]

    def foreseen(self, *, seeds: int = 0, examples: int = 0) -> Standing:
        """Return what the same differences would come to with more seeds, or more test examples a task.

        Those of arms that an earlier look has told to be worse stay as they are. So many seeds are read at
        the look that is planned for them, or at the last one.
        """
        beaten = {worse for _, worse in self.told_before}
        gains = {
            pair: gain if beaten & {*pair} else with_more(gain, seeds=seeds, examples=examples)
            for pair, gain in self.gains.items()
        }
        look = self.look
        if look is not None and seeds:
            number = min(bisect_left(look.planned, look.seeds + seeds) + 1, len(look.planned))
            trained = {arm: look.trained[arm] if arm in beaten else number for arm in look.trained}
            look = replace(look, number=number, trained=trained)
        return Standing(self.arms, gains, look, self.told_before)


def most_equal(arms: Sequence[str], told: frozenset[Pair]) -> int:
    """Return how many pairs of arms can be equal at most, where those told apart are not."""
    most = 0
    for blocks in _blocks(list(arms)):
        pairs = [(a, b) for block in blocks for i, a in enumerate(block) for b in block[i + 1 :]]
        if not any(pair in told or pair[::-1] in told for pair in pairs):
            most = max(most, len(pairs))
    return most


def _blocks(arms: list[str]) -> Iterator[list[list[str]]]:
    """Yield all ways to put arms into sets."""
    if not arms:
        yield []
        return
    first, *rest = arms
    for blocks in _blocks(rest):
        yield [[first], *blocks]
        yield from ([*blocks[:i], [first, *block], *blocks[i + 1 :]] for i, block in enumerate(blocks))


def needs(standing: Standing, left_out: int | None = None) -> Needs | None:
    """Say how many more seeds, or test examples a task, would decide for the best, were all else the same.

    None where scores that never differ leave nothing to find out.

    Parameters
    ----------
    standing : Standing
        Where the arms stand.
    left_out : int or None
        How many test examples the data have beyond those scored, of the task that has the fewest; None where
        that is not known.
    """
    gains = [standing.gains[standing.best, other] for other in standing.arms[1:]]
    if any(gain.mean == gain.margin == 0 for gain in gains):
        return None
    if any(math.isnan(gain.se_seeds) for gain in gains):
        return Needs(None, None, "a second training seed")
    if any(math.isnan(gain.margin) for gain in gains):
        return Needs(None, None, "more than one test example a task")
    seeds = _fewest(lambda more: standing.foreseen(seeds=more).decided, MOST_SEEDS)
    examples = _fewest(lambda more: standing.foreseen(examples=more).decided, MOST_EXAMPLES)
    return Needs(seeds, examples, _in_words(seeds, examples, left_out), left_out)


def _in_words(seeds: int | None, examples: int | None, left_out: int | None) -> str:
    if seeds is None and examples is None:
        return f"more than {MOST_SEEDS} more seeds or {MOST_EXAMPLES:,} more test examples a task"
    more_seeds = f"about {seeds} more seed{'' if seeds == 1 else 's'}"
    if examples is None:
        return f"{more_seeds} (test examples alone would not do)"
    more_examples = f"{examples:,} more test example{'' if examples == 1 else 's'} a task"
    if left_out is not None:
        more_examples += f", {_in_the_data(left_out, examples)}"
    if seeds is None:
        return f"about {more_examples} (seeds alone would not do)"
    return f"{more_seeds} or {more_examples}"


def _in_the_data(left_out: int, examples: int) -> str:
    if left_out >= examples:
        return "which the data have"
    return f"of which the data have {f'{left_out:,} at most' if left_out else 'none'}"


def _fewest(decides: Callable[[int], bool], most: int) -> int | None:
    """Return the smallest number that decides; more of anything only narrows the margins."""
    if not decides(most):
        return None
    return 1 + bisect_left(range(1, most + 1), True, key=decides)


def _beyond(gain: MeanWithMargin, confidence: float) -> bool:
    return gain.mean > margin_at(gain, confidence)


def _clearness(gain: MeanWithMargin) -> float:
    """Order differences by their size in margins, or by size alone where there is no margin."""
    return gain.mean / gain.margin if gain.margin > 0 else gain.mean * 1e300


def choosable(arms: Sequence[str]) -> list[str]:
    """Return those of the arms that a choice is among."""
    return [arm for arm in CHOICES if arm in arms]

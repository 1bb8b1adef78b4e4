"""Simulated comparisons of arms, read once or until they are decided: how often right, at how many runs.

Scores are drawn example by example and go through the comparison that studies go through. A run is one seed
of one arm: at one budget all arms take the same number of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cotune._repr import Brief
from cotune.findings.comparison import UNDECIDED, ArmScore, Comparison, Looks, compare, margin_at
from cotune.studies.grouping._until import seeds_at_looks

Row = dict[str, Any]
_ADAPTERS = {"joint": 1, "grouped": 2, "branched": 2}
"""Adapters of an arm, the tasks dealt out in turn; all others have one a task."""
_GROUPS, _BRANCHED = "train in these groups", "train together first, then in these groups"
RIGHT: dict[str, tuple[str, ...]] = {
    "joint": ("train together",),
    "grouped": (_GROUPS,),
    "branched": (_BRANCHED, _GROUPS),
    "single": ("train each alone",),
}
"""What is right to say where an arm is the best; to train in these groups is right for both ways to."""


@dataclass(frozen=True, kw_only=True)
class ScoreWorld(Brief):
    """How scores of arms come about.

    Parameters
    ----------
    arms : tuple of str
        The arms.
    tasks, examples : int
        How many, and test examples of each.
    adapter, task : float
        Standard deviation between seeds of what all tasks of one adapter have in common, and of each task's
        own part.
    uneven : float
        Standard deviation, on the log scale, of tasks' own parts, and of those of adapters between arms.
    liked : float
        Standard deviation of what an arm does on an example whatever the seed.
    noise : float
        Standard deviation of one seed on one example.
    binary : bool
        Whether an example is right or wrong, with the score above as its probability.
    """

    arms: tuple[str, ...] = ("grouped", "joint", "single")
    tasks: int = 6
    examples: int = 16
    adapter: float = 0.02
    task: float = 0.02
    uneven: float = 0.0
    liked: float = 0.01
    noise: float = 0.02
    binary: bool = False


WORLDS: dict[str, ScoreWorld] = {
    "seeds of joint runs": ScoreWorld(adapter=0.03, task=0.01),
    "uneven tasks and arms": ScoreWorld(adapter=0.02, task=0.03, uneven=0.8),
    "test examples": ScoreWorld(adapter=0.005, task=0.005, liked=0.1, noise=0.05, examples=24),
    "right or wrong": ScoreWorld(adapter=0.02, task=0.02, liked=0.05, noise=0.0, examples=48, binary=True),
    "two tasks, four arms": ScoreWorld(arms=("grouped", "branched", "joint", "single"), tasks=2),
}
"""The worlds of the benchmark."""


Spreads = Mapping[str, tuple[float, NDArray[np.float64]]]
"""By arm, standard deviations between seeds: of an adapter, and of its tasks' own parts."""


def draw_spreads(world: ScoreWorld, rng: np.random.Generator) -> Spreads:
    """Draw how much the arms of one study vary between seeds."""

    def uneven(size: int) -> NDArray[np.float64]:
        return np.asarray(np.exp(world.uneven * rng.standard_normal(size)))

    return {
        arm: (world.adapter * float(uneven(1)[0]), world.task * uneven(world.tasks)) for arm in world.arms
    }


def draw_scores(
    world: ScoreWorld,
    spreads: Spreads,
    effects: Mapping[str, float],
    seeds: int,
    rng: np.random.Generator,
) -> list[ArmScore]:
    """Draw the scores of all arms for so many seeds.

    Parameters
    ----------
    world : ScoreWorld
        What varies.
    spreads : mapping of str to (float, ndarray)
        How much between seeds.
    effects : mapping of str to float
        By arm, what all its scores have more than those of others.
    seeds : int
        How many.
    rng : Generator
        What is drawn from.
    """
    shape = (world.tasks, world.examples)
    level = rng.uniform(0.4, 0.6, (world.tasks, 1)) + rng.normal(0, 0.1, shape)
    records = []
    for arm in world.arms:
        adapter = np.arange(world.tasks) % _ADAPTERS.get(arm, world.tasks)
        common, own = spreads[arm]
        liked = rng.normal(0, world.liked, shape)
        for seed in range(seeds):
            of_adapter = common * rng.standard_normal(world.tasks)[adapter]
            trained = of_adapter + own * rng.standard_normal(world.tasks)
            values = level + effects.get(arm, 0.0) + liked + trained[:, None]
            values = values + world.noise * rng.standard_normal(shape)
            if world.binary:
                values = (rng.random(shape) < values).astype(float)
            records += [_record(arm, seed, task, of_task) for task, of_task in enumerate(values)]
    return records


def _record(arm: str, seed: int, task: int, values: NDArray[np.float64]) -> ArmScore:
    return ArmScore(arm, 1, seed, f"t{task}", float(values.mean()), True, "score", tuple(values.tolist()))


def read_once(records: Sequence[ArmScore], world: ScoreWorld, seeds: int) -> Comparison:
    """Compare with a fixed number of seeds."""
    return compare([record for record in records if record.seed < seeds], world.arms, apart=world.arms)


def read_until_decided(
    records: Sequence[ArmScore], world: ScoreWorld, planned: Sequence[int]
) -> tuple[Comparison, int]:
    """Compare until it is decided; return what it came to, and the runs that it took."""
    looks, ending = Looks(world.arms, planned, world.arms), None
    while ending is None:
        seeds = looks.seeds
        ending = looks.take(record for record in records if record.seed < seeds[record.arm])
    assert looks.comparison is not None
    return looks.comparison, sum(seeds.values())


def noise_floor(world: ScoreWorld, spreads: Spreads, seeds: int, rng: np.random.Generator) -> float:
    """Return the widest margin of a study's fixed design, at the confidence of the clearest of differences.

    What is within it the design leaves undecided.
    """
    pairs = len(world.arms) * (len(world.arms) - 1) // 2
    contrasts = read_once(draw_scores(world, spreads, {}, seeds, rng), world, seeds).contrasts
    return max(margin_at(c.gain, 1 - 0.05 / pairs) for c in contrasts if c.budget is None)


@dataclass
class Tally(Brief):
    """What simulated studies came to.

    Parameters
    ----------
    decided, right : list of bool
        Whether something was decided, and whether it was right.
    told : list of bool
        Whether any two arms were told apart.
    runs : list of float
        What each took.
    """

    decided: list[bool] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    told: list[bool] = field(default_factory=list)
    runs: list[float] = field(default_factory=list)

    def add(self, comparison: Comparison, best: str, runs: float) -> None:
        """Count a study whose best arm is known; empty where there is none."""
        decision = comparison.overall.decision
        self.decided.append(decision != UNDECIDED)
        self.right.append(bool(best) and decision in RIGHT[best])
        seen = comparison.overall.outlook
        self.told.append(bool(seen and seen.told_apart))
        self.runs.append(runs)

    @property
    def shares(self) -> tuple[float, float, float]:
        """Share decided, share decided right, and mean runs."""
        return float(np.mean(self.decided)), float(np.mean(self.right)), float(np.mean(self.runs))


def simulated(
    world: ScoreWorld, floors: float, planned: Sequence[int], studies: int, seed: int
) -> Iterator[tuple[str, list[ArmScore]]]:
    """Yield studies in which each arm in turn is better than all others, and its name.

    Parameters
    ----------
    world : ScoreWorld
        What varies.
    floors : float
        By how many noise floors of the study, from other draws of it; none is better where it is 0.
    planned : sequence of int
        Seeds at all looks.
    studies, seed : int
        How many, and what they are drawn from.
    """
    for study in range(studies):
        spreads = draw_spreads(world, np.random.default_rng([seed, study, 0]))
        best = world.arms[study % len(world.arms)] if floors else ""
        effect = 0.0
        if floors:
            effect = floors * noise_floor(
                world, spreads, planned[-1], np.random.default_rng([seed, study, 1])
            )
        rng = np.random.default_rng([seed, study, 2])
        yield best, draw_scores(world, spreads, {best: effect}, planned[-1], rng)


def fixed_as_often(
    drawn: Sequence[tuple[str, list[ArmScore]]], world: ScoreWorld, share: float, most: int
) -> int:
    """Return the fewest seeds with which a fixed design is right as often; one more than the most if none."""
    low, high = 1, most + 1  # right at high as far as is known, not at low
    while high - low > 1:
        seeds = (low + high) // 2
        found = Tally()
        for best, records in drawn:
            found.add(read_once(records, world, seeds), best, 0)
        low, high = (low, seeds) if found.shares[1] >= share else (seeds, high)
    return high


LOOKS = seeds_at_looks(3, 16)
"""Seeds of simulated comparisons, which look after every one."""


def comparisons_without_effect(*, quick: bool) -> Iterator[Row]:
    """Yield what comparisons without any effect come to, read after every seed, by world and over all."""
    planned = LOOKS[:5] if quick else LOOKS
    studies = 3 if quick else 200 // len(WORLDS)
    total = Tally()
    for name, of in WORLDS.items():
        found = Tally()
        for best, records in simulated(of, 0.0, planned, studies, 1):
            comparison, runs = read_until_decided(records, of, planned)
            for tally in (found, total):
                tally.add(comparison, best, runs / (planned[-1] * len(of.arms)))
        decided, _, share = found.shares
        told = float(np.mean(found.told))
        row = {"studies": studies, "decided": decided, "two told apart": told, "runs of all": share}
        yield {"world": name, **row}
    decided, _, share = total.shares
    yield {
        "world": "all",
        "studies": len(total.decided),
        "decided": decided,
        "two told apart": float(np.mean(total.told)),
        "runs of all": share,
        "target": "<= 0.05",
        "verdict": "held" if decided <= 0.05 else "NOT HELD",
    }


def comparisons_with_a_clear_effect(*, quick: bool) -> Iterator[Row]:
    """Yield the same where one arm is better by twice the noise floor, beside fixed designs."""
    planned = LOOKS[:5] if quick else LOOKS
    studies = 4 if quick else 40
    rows: list[Row] = []
    for name, of in WORLDS.items():
        drawn = list(simulated(of, 2.0, planned, studies, 2))
        found, once = Tally(), Tally()
        for best, records in drawn:
            comparison, runs = read_until_decided(records, of, planned)
            found.add(comparison, best, runs / (planned[-1] * len(of.arms)))
            once.add(read_once(records, of, planned[-1]), best, 1.0)
        decided, right, share = found.shares
        as_often = fixed_as_often(drawn, of, right, planned[-1])
        row: Row = {
            "studies": studies,
            "decided": decided,
            "right": right,
            "right, all seeds": once.shares[1],
        }
        row |= {"runs of all": share, "seeds of as often": float(as_often)}
        rows.append(row | {"runs of as often": share * planned[-1] / as_often})
        yield {"world": name, **rows[-1]}
    mean = {column: float(np.mean([row[column] for row in rows])) for column in rows[0]}
    mean["studies"] = studies * len(rows)
    held = mean["right"] >= 0.9 and mean["runs of all"] <= 0.6
    verdict = "held" if held else "NOT HELD"
    yield {"world": "all", **mean, "target": "right >= 0.9, runs <= 0.6", "verdict": verdict}

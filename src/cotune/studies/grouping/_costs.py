"""What every arm of a comparison took: steps, tokens and processor time, beside its scores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from cotune.findings.comparison import Budget, Comparison, budget_words
from cotune.findings.grouping import ArmCost
from cotune.studies.engine import RunRecord
from cotune.studies.grouping._comparison import ArmRuns, TrainedArm
from cotune.studies.grouping._joint_parts import joint_parts
from cotune.studies.grouping._runs import FitRun, GroupingStudyRun, JointPartRun
from cotune.training.learner import Learner
from cotune.training.parts import PartLearner

Records = Mapping[GroupingStudyRun, RunRecord]


def arm_costs(plan: ArmRuns, records: Records) -> tuple[ArmCost, ...]:
    """Add up what the runs of every arm took at every budget, the mean of its seeds.

    A run that two arms share counts in both, and a joint part once for all groups that go on from it. Seeds
    with a run that failed or is missing are left out.

    Parameters
    ----------
    plan : ArmRuns
        The runs.
    records : mapping of run to RunRecord
        What became of them, and of the joint parts.
    """
    by_seed: dict[tuple[str, Budget], list[list[GroupingStudyRun]]] = {}
    for (arm, budget, _), runs in plan.cells.items():
        wanted: list[GroupingStudyRun] = [*joint_parts(runs), *runs]
        if all(run in records and records[run].error is None for run in wanted):
            by_seed.setdefault((arm, budget), []).append(wanted)
    return tuple(_mean(arm, budget, seeds, records) for (arm, budget), seeds in by_seed.items())


def _mean(arm: str, budget: Budget, seeds: Sequence[Sequence[GroupingStudyRun]], records: Records) -> ArmCost:
    tokens = [[records[run].tokens for run in runs] for runs in seeds]
    known = [sum(t for t in of_seed if t is not None) for of_seed in tokens if None not in of_seed]
    return ArmCost(
        arm=arm,
        budget=budget,
        seeds=len(seeds),
        steps=fmean(sum(steps_done(run, records[run]) for run in runs) for runs in seeds),
        kept_steps=fmean(sum(steps_kept(run, records[run]) for run in runs) for runs in seeds),
        tokens=fmean(known) if len(known) == len(seeds) else None,
        cpu_seconds=fmean(sum(records[run].cpu_seconds for run in runs) for runs in seeds),
    )


def steps_done(run: GroupingStudyRun, record: RunRecord) -> int:
    """Return the steps that a run did: as many as were wanted, or as helped."""
    looks = (record.payload or {}).get("looks")
    return int(looks["losses"][-1][0]) if looks else _wanted(run)


def steps_kept(run: GroupingStudyRun, record: RunRecord) -> int:
    """Return the steps up to the state of a run that was kept."""
    looks = (record.payload or {}).get("looks")
    return int(looks["kept"]) if looks else _wanted(run)


def _wanted(run: GroupingStudyRun) -> int:
    return run.steps if isinstance(run, FitRun | JointPartRun) else 0


def unequal_costs(costs: Iterable[ArmCost], reference: str) -> list[str]:
    """Say which arms took other than the reference's steps, a sentence for each budget where some did."""
    by_budget: dict[Budget, dict[str, ArmCost]] = {}
    for cost in costs:
        by_budget.setdefault(cost.budget, {})[cost.arm] = cost
    sentences = []
    for budget, arms in by_budget.items():
        own = arms.get(reference)
        others = [cost for arm, cost in arms.items() if own and arm != reference and cost.steps != own.steps]
        if own is None or not others:
            continue
        named = ", ".join(f"{cost.arm} {cost.steps:,.0f}" for cost in others)
        sentences.append(
            f"At {budget_words(budget)} not all arms took the same number of steps: a seed of {reference} "
            f"{own.steps:,.0f}, of {named}."
        )
    return sentences


def about_updates(comparison: Comparison, arms: Sequence[TrainedArm], learner: Learner) -> list[str]:
    """Say, where groups lose against joint training, that no arm tells whether it is by fewer updates.

    Nothing where an arm does, or where the learner cannot train one.
    """
    told = any(arm.share is not None or arm.updates == "joint" for arm in arms)
    groups = next((arm.adapters for arm in arms if arm.title == comparison.reference), 0)
    main = comparison.metrics[0].name
    over = [c.gain for c in comparison.contrasts if (c.arm, c.budget, c.metric) == ("joint", None, main)]
    if told or groups < 2 or not isinstance(learner, PartLearner) or not any(gain.sign < 0 for gain in over):
        return []
    return [
        f"A model of one of the {groups} groups takes the steps of its own tasks, that of joint training "
        f"those of all {len(comparison.tasks)}: whether the groups lose by their fewer updates, the arm "
        "'branched' would tell."
    ]

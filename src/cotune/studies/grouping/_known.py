"""What the store of a study says before the study goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cotune.findings.comparison import Comparison
from cotune.studies.grouping._comparison import ArmRuns
from cotune.studies.grouping._runs import GroupingStudyRun


@dataclass(frozen=True)
class Known:
    """What is stored of a study, and what follows from it.

    Parameters
    ----------
    keys : frozenset of str
        Keys of the runs that are done.
    done : sequence of runs
        Those of the affinity stage that are done.
    affinity : sequence of runs
        All runs of the affinity stage where they are done; empty before.
    arms : ArmRuns or None
        The runs of the comparison up to the next look, where the groups are known.
    comparison : Comparison or None
        What the runs of the arms say so far.
    sweep : sequence of runs, or None
        The further runs of the sweep up to now; None before the groups are known.
    """

    keys: frozenset[str] = frozenset()
    done: Sequence[GroupingStudyRun] = ()
    affinity: Sequence[GroupingStudyRun] = ()
    arms: ArmRuns | None = None
    comparison: Comparison | None = None
    sweep: Sequence[GroupingStudyRun] | None = None


NOTHING = Known()
"""Before the first run."""

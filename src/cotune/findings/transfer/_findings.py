"""All that follows from the data of a transfer study, worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cotune._repr import Brief
from cotune.findings._plain import plain
from cotune.findings.transfer._arms import Forgetting, TransferArmRow, arm_rows, forgetting, pretrained_row
from cotune.findings.transfer._best import Lead, leads
from cotune.findings.transfer._claims import Claim, claims_of
from cotune.findings.transfer._conflict import Conflict, ConflictChange, conflict_changes, conflicts
from cotune.findings.transfer._early import EarlyPrediction, early_predictions
from cotune.findings.transfer._markings import (
    MarkingDifference,
    MarkingRow,
    marking_differences,
    marking_rows,
)
from cotune.findings.transfer._records import TransferData
from cotune.findings.transfer._relation import Relation, relation_of
from cotune.findings.transfer._replay import ReplayEffect, replay_effects
from cotune.findings.wording import count


@dataclass(frozen=True, slots=True)
class TransferFindings(Brief):
    """What a transfer study found; made by :func:`transfer_findings`.

    Parameters
    ----------
    data : TransferData
        What was measured.
    relation : Relation
        How the loss after fine-tuning and the loss in context go together.
    pretrained : TransferArmRow
        The model before any tuning.
    arms : tuple of TransferArmRow
        Every arm that has runs, at the end of training.
    forgetting : tuple of Forgetting
        Every arm beside the pretrained model, task by task.
    replay : tuple of ReplayEffect
        One for each ratio of replay that has an arm without it to be compared with.
    leads : tuple of Lead
        Of every column of the arms' table the best, or that it is undecided.
    early : tuple of EarlyPrediction
        What is known at every checkpoint before the last, beside what changes in context until the end.
    conflicts : tuple of Conflict
        The gradients of the training tasks, by arm and step at which they were taken.
    conflict_changes : tuple of ConflictChange
        What of them turns along training, by arm.
    markings : tuple of MarkingRow
        Transfer under each marking, where there is more than one.
    marking_differences : tuple of MarkingDifference
        The further markings less the first.
    claims : tuple of Claim
        What the paper found beside what was found here.
    """

    data: TransferData
    relation: Relation
    pretrained: TransferArmRow
    arms: tuple[TransferArmRow, ...]
    forgetting: tuple[Forgetting, ...]
    replay: tuple[ReplayEffect, ...]
    leads: tuple[Lead, ...]
    early: tuple[EarlyPrediction, ...]
    conflicts: tuple[Conflict, ...]
    conflict_changes: tuple[ConflictChange, ...]
    markings: tuple[MarkingRow, ...]
    marking_differences: tuple[MarkingDifference, ...]
    claims: tuple[Claim, ...]

    @property
    def headline(self) -> str:
        """How many of the claims came out, did not, and are undecided."""
        said: list[str] = [claim.agreement for claim in self.claims]
        known = len(said) - said.count("not measured")
        others = [
            f"{number} {words}"
            for agreement, words in (("does not agree", "did not"), ("undecided", "undecided"))
            if (number := said.count(agreement))
        ]
        came_out = f"{said.count('agrees')} of {count(known, 'finding')} of the paper came out here too"
        return ", ".join([came_out, *others]) + "."

    def to_dict(self) -> dict[str, Any]:
        """Return data, findings and claims as plain JSON types; what is not known is null."""
        found = (
            *("relation", "pretrained", "arms", "leads", "forgetting", "replay"),
            *("early", "conflicts", "conflict_changes", "markings", "marking_differences"),
        )
        data: dict[str, Any] = plain(self.data)
        findings = {name: plain(getattr(self, name)) for name in found}
        return {**data, "findings": findings, "claims": plain(self.claims)}


def transfer_findings(data: TransferData) -> TransferFindings:
    """Work out what a transfer study found.

    Parameters
    ----------
    data : TransferData
        What was measured.
    """
    relation, replay = relation_of(data), tuple(replay_effects(data))
    early, markings = early_predictions(data), marking_rows(data)
    return TransferFindings(
        data=data,
        relation=relation,
        pretrained=pretrained_row(data),
        arms=arm_rows(data),
        forgetting=tuple(forgetting(data)),
        replay=replay,
        leads=leads(data),
        early=early,
        conflicts=conflicts(data),
        conflict_changes=conflict_changes(data),
        markings=markings,
        marking_differences=marking_differences(data),
        claims=claims_of(data, relation, replay, early, markings),
    )

"""All that follows from the data of a transfer study, worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cotune._repr import Brief
from cotune.findings._plain import plain
from cotune.findings.transfer._arms import Forgetting, TransferArmRow, arm_rows, forgetting, pretrained_row
from cotune.findings.transfer._claims import Claim, claims_of
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
    claims : tuple of Claim
        What the paper found beside what was found here.
    """

    data: TransferData
    relation: Relation
    pretrained: TransferArmRow
    arms: tuple[TransferArmRow, ...]
    forgetting: tuple[Forgetting, ...]
    replay: tuple[ReplayEffect, ...]
    claims: tuple[Claim, ...]

    @property
    def headline(self) -> str:
        """How many of the claims came out."""
        said = [claim.agreement for claim in self.claims]
        known = len(said) - said.count("not measured")
        return f"{said.count('agrees')} of {count(known, 'finding')} of the paper came out here too."

    def to_dict(self) -> dict[str, Any]:
        """Return data, findings and claims as plain JSON types; what is not known is null."""
        found = ("relation", "pretrained", "arms", "forgetting", "replay")
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
    relation, arms, replay = relation_of(data), arm_rows(data), tuple(replay_effects(data))
    return TransferFindings(
        data=data,
        relation=relation,
        pretrained=pretrained_row(data),
        arms=arms,
        forgetting=tuple(forgetting(data)),
        replay=replay,
        claims=claims_of(data, relation, arms, replay),
    )

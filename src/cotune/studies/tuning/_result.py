"""What a tuning run found, as its folder keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cotune._html import paragraphs, table
from cotune._repr import Brief
from cotune.evaluation.last_stage import StageChange, in_words
from cotune.evaluation.saved_model import RECORD
from cotune.exceptions import InputError
from cotune.studies.evaluating import format_mean
from cotune.studies.tuning._scores import TuneScores
from cotune.training.tuning import Checkpoint


@dataclass(frozen=True, kw_only=True)
class TuneResult(Brief):
    """A model tuned on one task or several, and what it could do before and after.

    Parameters
    ----------
    key : str
        Hash of all that determines the run.
    config : mapping
        The configuration, as plain JSON types.
    base : str
        The pretrained model: a folder or a hub name.
    base_fingerprint : str
        Of the pretrained model.
    targets : sequence of mapping
        Name, metric, format, number of examples by split and fingerprint of each task tuned on.
    evaluation : sequence of mapping
        The same of the tasks only evaluated on.
    before, after : TuneScores
        What the pretrained and the tuned model can do.
    checkpoints : sequence of Checkpoint
        Stage, step and validation score of each; higher is better, losses are negative.
    best : mapping of str to Checkpoint
        By stage the one that was kept.
    trainable_parameters : int
        Of the stage that trains most.
    tokens : int
        Training tokens of all stages, those of replayed text included.
    notes : sequence of str
        A sentence for everything that was cut or dropped, or does not fit the model.
    versions : mapping of str to str
        Of the libraries.
    instructions : mapping of str to int
        Training examples of all stages by task, repetitions counted.
    replay_losses : sequence of float or None
        Loss of the text replayed in every step, None in a step without; empty where none was.
    change : StageChange or None
        What the last stage changed; None in the folders of earlier versions.
    answers : mapping of str to sequence of mapping
        By task the first test examples with their right answers, as they were answered before and after: the
        targets as trained, the others with the most demonstrations.
    """

    key: str
    config: Mapping[str, Any]
    base: str
    base_fingerprint: str
    targets: Sequence[Mapping[str, Any]]
    evaluation: Sequence[Mapping[str, Any]]
    before: TuneScores
    after: TuneScores
    checkpoints: Sequence[Checkpoint]
    best: Mapping[str, Checkpoint]
    trainable_parameters: int
    tokens: int
    notes: Sequence[str]
    versions: Mapping[str, str]
    instructions: Mapping[str, int] = field(default_factory=dict)
    replay_losses: Sequence[float | None] = ()
    change: StageChange | None = None
    answers: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)

    @property
    def target(self) -> Mapping[str, Any]:
        """The task tuned on, the first of several."""
        return self.targets[0]

    @property
    def names(self) -> str:
        """Names of the tasks tuned on."""
        return " and ".join(str(target["name"]) for target in self.targets)

    @property
    def nothing_tuned(self) -> bool:
        """Whether the last stage changed nothing, or its best checkpoint was before its first step."""
        last = list(self.best.values())[-1:]
        untouched = self.change is not None and not self.change.moved
        return untouched or any(checkpoint.step == 0 for checkpoint in last)

    @property
    def changed(self) -> str | None:
        """What the last stage changed, in a sentence; None where it was not measured."""
        if self.nothing_tuned:
            return (
                "Nothing was tuned: the last stage left every weight, prediction and answer as it was, so "
                "what stands here is the model that it began with."
            )
        return None if self.change is None else f"The last stage changed {in_words(self.change)}."

    @property
    def untuned(self) -> str | None:
        """What is reached without the last stage, where that is no less; None where tuning was better."""
        last, best = list(self.best.items())[-1] if self.best else ("", None)
        before = next((c for c in self.checkpoints if c.stage == last and c.step == 0), None)
        if best is None or before is None or before.score < best.score:
            return None
        return (
            f"What the last stage began with reaches {abs(before.score):.3f} on the validation examples, its "
            f"best checkpoint {abs(best.score):.3f}: for the target it need not have been tuned."
        )

    @property
    def kept(self) -> str | None:
        """How much is left of the in-context score; None where nothing was tuned or there was none."""
        if self.nothing_tuned:
            return None
        after = self.after.averages
        shares = [
            f"{100 * after[shots] / mean:.0f} % of the {shots}-shot score"
            for shots, mean in self.before.averages.items()
            if mean > 0
        ]
        return f"On the other tasks it keeps {' and '.join(shares)}." if shares else None

    def _repr_html_(self) -> str:
        pairs = list(zip(self.before.targets, self.after.targets, strict=True))
        pairs += zip(self.before.in_context, self.after.in_context, strict=True)
        rows = [
            (new.task, new.metric, str(new.shots), format_mean(old), format_mean(new)) for old, new in pairs
        ]
        title = f"{self.base}, tuned on {self.names} by {self.config['method']['name']}"
        shown = table(("task", "metric", "shots", "before", "after"), rows)
        return paragraphs([], title) + shown + paragraphs([*self.findings, *self.notes])

    @property
    def findings(self) -> list[str]:
        """What follows from the scores, a sentence each."""
        return [sentence for sentence in (self.kept, self.untuned, self.changed) if sentence]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        plain = {**asdict(self), "checkpoints": [c._asdict() for c in self.checkpoints]}
        plain["best"] = {stage: c._asdict() for stage, c in self.best.items()}
        plain["before"], plain["after"] = self.before.to_dict(), self.after.to_dict()
        return {**plain, "target": plain["targets"][0], "nothing_tuned": self.nothing_tuned}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TuneResult:
        """Read what :meth:`to_dict` wrote."""
        read = {
            "before": TuneScores.from_dict(data["before"]),
            "after": TuneScores.from_dict(data["after"]),
            "checkpoints": [Checkpoint(**c) for c in data["checkpoints"]],
            "best": {stage: Checkpoint(**c) for stage, c in data["best"].items()},
        }
        known = {k: v for k, v in data.items() if k not in ("target", "nothing_tuned")}
        targets = data.get("targets", [data["target"]])
        change = StageChange.read(data.get("change"))
        return cls(**{**known, **read, "targets": targets, "change": change})

    def write(self, folder: Path) -> None:
        """Write the record into the folder of the model."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False)
        (folder / RECORD).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def find(cls, folder: Path) -> TuneResult | None:
        """Read a folder's record, None where it has none.

        Raises
        ------
        InputError
            If it has one that cannot be read.
        """
        file = folder / RECORD
        if not file.is_file():
            return None
        try:
            return cls.from_dict(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{file} is not the record of a tuned model, as cotune tune writes it."
            ) from error

"""The cards of the adapters that a study keeps: tasks, scores beside the other arms', how they came about."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cotune.findings.comparison import Budget, budget_words
from cotune.models import locate_model
from cotune.models.config import ModelConfig
from cotune.studies.engine import RunRecord, artefact_record
from cotune.studies.grouping._comparison import KEPT
from cotune.studies.grouping._design import GroupingDesign
from cotune.studies.grouping._runs import BranchedRun, FitRun, variation_of
from cotune.studies.grouping._until import Compared
from cotune.studies.grouping.estimators import ESTIMATORS
from cotune.studies.model_card import (
    LICENCE,
    PLACE,
    CardScore,
    data_table,
    front_matter,
    holds_model,
    is_seq2seq,
    loading_section,
    versions,
    write_card,
)
from cotune.tasks import SPLITS


def write_cards(study: GroupingDesign, found: Compared) -> None:
    """Write a card into the folder of every adapter that is kept and whose run is done."""
    if not isinstance(study.options, ModelConfig):
        return
    base = str(locate_model(study.options.model, study.base))
    cells = {run: cell for cell, runs in found.arms.cells.items() for run in runs if cell[0] in KEPT}
    for run, folder in found.arms.kept(study.folder / "adapters").items():
        record = found.records.get(run)
        if record is not None and isinstance(run, FitRun) and not record.error and holds_model(folder):
            arm, budget, _ = cells[run]
            card = _Card(study, found, run, record, folder, base, arm, budget)
            write_card(folder, card.sections())


@dataclass(frozen=True)
class _Card:
    """What one card tells of."""

    study: GroupingDesign
    found: Compared
    run: FitRun
    record: RunRecord
    folder: Path
    base: str
    arm: str
    budget: Budget

    def sections(self) -> list[str]:
        """Return the parts of the card."""
        return [
            self._front_matter(),
            f"# {self.folder.name} of {self.study.config.name}\n\n{self._summary()}",
            "## Scores\n\n" + "\n".join(self._scores()),
            self._loading(),
            self._training(),
            "\n".join(self._data()),
            LICENCE,
        ]

    def _front_matter(self) -> str:
        scores = [CardScore(task, score.metric, score.value) for task, score in self.record.scores.items()]
        name = f"{self.study.config.name} {self.folder.name}"
        return front_matter(self.folder, self.base, name=name, tags=["multitask"], scores=scores)

    def _summary(self) -> str:
        tasks, comparison = self.run.subset, self.found.comparison
        many = f"{len(tasks)} tasks together" if len(tasks) > 1 else "one task"
        text = f"`{self.base}` tuned on {many} ({', '.join(tasks)}), a group that cotune chose."
        return text if comparison is None else f"{text} {comparison.overall.sentence}"

    def _scores(self) -> Iterator[str]:
        """Yield the table of this adapter's test scores beside the means of the arms."""
        arms = self.found.titles
        yield f"| task | metric | this adapter | {' | '.join(f'{arm}, mean over seeds' for arm in arms)} |"
        yield "|---" * (3 + len(arms)) + "|"
        for task, score in self.record.scores.items():
            means = " | ".join(self._mean(arm, task) for arm in arms)
            yield f"| {task} | {score.metric} | {score.value:.3f} | {means} |"
        yield f"\nOn test examples, after {budget_words(self.budget)}, the same for every arm in all."

    def _mean(self, arm: str, task: str) -> str:
        """Say what an arm scores on a task, with the margin of 95 % where one is known."""
        means = self.found.comparison.means if self.found.comparison else ()
        for row in means:
            if (row.arm, row.budget, row.task) == (arm, self.budget, task):
                margin = "" if math.isnan(row.score.margin) else f" ± {row.score.margin:.3f}"
                return f"{row.score.mean:.3f}{margin}"
        return ""

    def _loading(self) -> str:
        text = loading_section(self.folder, self.base, seq2seq=is_seq2seq(self.folder))
        prompts = artefact_record(self.folder).get("prompts", {})
        if not prompts:
            return text
        shown = json.dumps(prompts, indent=1, ensure_ascii=False)
        return (
            f"{text}\n\nIt was trained on prompts of these forms, {PLACE} in the place of the input, all "
            f"tokens written out that the model reads before it answers:\n\n```json\n{shown}\n```"
        )

    def _training(self) -> str:
        run, options = self.run, self.study.options
        recipe = {key: value for key, value in options.plain().items() if key != "model"}
        other = variation_of(run)
        first = (
            f"The first {run.since:,} steps were taken on all tasks ({', '.join(run.joint.subset)}). "
            if isinstance(run, BranchedRun)
            else ""
        )
        tokens = "" if self.record.tokens is None else f", {self.record.tokens:,} tokens"
        libraries = ", ".join(map(" ".join, versions().items()))
        estimator = ESTIMATORS.name_of(self.study.config.affinity)
        return (
            f"## Training\n\nArm `{self.arm}` of the study, seed {run.seed}: {run.steps:,} steps{tokens}. "
            f"{first}The groups were found from affinities by `{estimator}`. {libraries}. The recipe"
            f"{f', but for {other}' if other else ''}:\n\n"
            f"```json\n{json.dumps(recipe, indent=1, ensure_ascii=False)}\n```"
        )

    def _data(self) -> Iterator[str]:
        yield "## Data\n"
        yield from data_table(
            (task.name, {split: len(task[split]) for split in SPLITS}, task.fingerprint)
            for task in self.study.tasks
            if task.name in self.run.subset
        )
        yield f"\nFingerprint of model and recipe: `{self.study.learner.fingerprint[:16]}`."

"""A transfer study: tune every arm, measure the pretrained model and all checkpoints, compare, report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from cotune._files import remove_folder
from cotune.answering import check_in_context, merge_notes
from cotune.evaluation.gradient_conflict import BATCHES
from cotune.evaluation.transfer import MOST_TOGETHER, check_transfer
from cotune.exceptions import InputError, RunError
from cotune.findings.transfer import transfer_findings
from cotune.findings.wording import count
from cotune.report import write_report
from cotune.studies.engine import Costs, Runner, Standing, Trained
from cotune.studies.transfer._data import transfer_data
from cotune.studies.transfer._design import (
    InstructRun,
    MarkedRun,
    TransferDesign,
    TransferStudyRun,
    method_of,
    tuning,
)
from cotune.studies.transfer._plan import transfer_costs
from cotune.studies.transfer._result import TransferResult, write_results
from cotune.studies.transfer._worker import TransferWorker
from cotune.studies.transfer.config import TransferStudyConfig
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.stages import trains_side_by_side


@dataclass(frozen=True)
class TransferStudy(TransferDesign):
    """What instruction tuning does to learning new tasks, by fine-tuning and in context."""

    config_class: ClassVar[type[TransferStudyConfig]] = TransferStudyConfig
    outputs: ClassVar[tuple[str, ...]] = (
        "early.csv",
        "gradients.csv",
        "points.csv",
        "results.csv",
        "results.json",
    )

    def check(self) -> dict[str, tuple[str, ...]]:
        """Check tasks, mixtures and numbers; return by task what was cut or dropped."""
        config, encoder = self.config, self.encoder
        for marking in config.markings:
            check_transfer(
                self.held_out, config.marked(marking), config.in_context, encoder, seed=config.seed
            )
        self._check_gradients()
        found = check_in_context(self.held_out, config.in_context, encoder, seeds=(config.seed,))
        trained = {name for run in self.tunings.values() for name in run.tasks}
        cut: dict[str, tuple[str, ...]] = {}
        for demonstrations in sorted({arm.method.demonstrations for arm in config.compared}):
            data = EncodedTasks(self.train, lambda: encoder, demonstrations=demonstrations)
            cut = data.check()
        told = (*(task for task in self.train if task.name in trained), *self.held_out)
        notes = merge_notes({task.name: task.notes for task in told}, found)
        return merge_notes(notes, {name: of_task for name, of_task in cut.items() if name in notes})

    def _check_gradients(self) -> None:
        """See that every task has as many examples as there are batches of gradients."""
        few = next((task for task in self.train if len(task["train"]) < BATCHES), None)
        if self.config.gradient_steps and few is not None:
            has = count(len(few["train"]), "training example")
            raise InputError(
                f"{self.path}: gradient_steps: gradients of {BATCHES} batches are compared, and {few.name} "
                f"has {has}; give it more or leave gradient_steps out."
            )

    def batches(self, runs: Sequence[TransferStudyRun]) -> list[Sequence[TransferStudyRun]]:
        """Measure all tasks of a checkpoint together: their fine-tunings share a pass."""
        single: list[Sequence[TransferStudyRun]] = [(run,) for run in runs if isinstance(run, InstructRun)]
        measured = [run for run in runs if not isinstance(run, InstructRun)]
        together = groupby(measured, lambda run: (run.source, run.step, run.examples, _marking(run)))
        return [*single, *(tuple(of_checkpoint) for _, of_checkpoint in together)]

    def worker(self) -> TransferWorker:
        """Return what tunes and measures."""
        return TransferWorker(
            config=self.config,
            tasks={task.name: task for task in (*self.train, *self.held_out)},
            tunings=self.tunings,
            base=self.base,
            states=self.states,
            checkpoints=self.checkpoints,
        )

    @property
    def checkpoints(self) -> Path:
        """Folder of what tunings leave until all of it is measured, by key."""
        return self.shared / "checkpoints"

    def trained(self) -> Iterator[Trained]:
        """Return every tuning, and the fine-tunings of a checkpoint on held-out tasks, which share passes."""
        for run in {(run.method, run.options, run.training): run for run in self.tunings.values()}.values():
            recipe = tuning(run, self.config)[1].training
            yield Trained(method_of(run), recipe, [task for task in self.train if task.name in run.tasks])
        few = self.config.transfer
        together = min(MOST_TOGETHER, few.draws * len(self.held_out))
        copies = together if trains_side_by_side(few.method, few.training) else 1
        yield Trained(few.method, few.training, self.held_out, copies)

    def costs(self, *, measure: bool) -> Costs:
        """Count runs, steps, tokens and prompts."""
        return transfer_costs(self, measure=measure, stored=self.stored_keys())

    def standing(self, runner: Runner[TransferStudyRun]) -> Standing[TransferStudyRun]:
        """Say which runs are wanted, and what those that are done come to."""
        before = runner.get("pretrained", self.pretrained)
        tuned = runner.get("tuning", list(self.tunings.values()))
        good = [run for run, record in tuned.items() if record.error is None]
        asked = [wanted for run in good if isinstance(run, InstructRun) for wanted in self.measurements(run)]
        measured = runner.get("measuring", asked)
        if len(before) < len(self.pretrained) or any(r.error for r in before.values()) or not measured:
            return Standing(self.runs)
        findings = transfer_findings(transfer_data(self, {}, before, tuned, measured, runner.stages))
        done, wanted = len(before) + len(tuned) + len(measured), sum(map(len, self.runs.values()))
        so_far = [f"So far, by {done} of {wanted} runs:"] if done < wanted else []
        known = {"claims": [asdict(claim) for claim in findings.claims]}
        result = TransferResult(study=self, notes={}, stages=runner.stages, findings=findings)
        return Standing(self.runs, known, [*so_far, *result.sentences()])

    def follow(
        self, runner: Runner[TransferStudyRun], notes: Mapping[str, tuple[str, ...]]
    ) -> TransferResult:
        """Measure the pretrained model, tune every arm, measure its checkpoints, compare, report."""
        result = TransferResult(study=self, notes=notes, stages=runner.stages)
        before = runner.get("pretrained", self.pretrained)
        if not before:
            return result
        failed = next((record.error for record in before.values() if record.error), None)
        if failed is not None:
            raise RunError(f"The pretrained model could not be measured: {failed}")
        tunings = list(self.tunings.values())
        asked = {run: self.measurements(run) for run in tunings}
        # Weights are needed where something is still to be measured; elsewhere they may be gone.
        needed: dict[TransferStudyRun, Path] = {
            run: self.checkpoints / self.key(run)
            for run, wanted in asked.items()
            if len(runner.stored(wanted)) < len(wanted)
        }
        tuned = runner.get("tuning", tunings, save=needed)
        good = [run for run in tunings if run in tuned and tuned[run].error is None]
        measured = runner.get("measuring", [wanted for run in good for wanted in asked[run]])
        data = transfer_data(self, notes, before, tuned, measured, runner.stages)
        result.findings = transfer_findings(data)
        write_results(self.folder, result.findings)
        result.report = write_report(result.findings, self.folder / "report.html")
        if runner.executes and not self.config.keep:
            remove_folder(self.checkpoints, self.folder, ignore_errors=True)
        return result


def _marking(run: TransferStudyRun) -> str:
    return run.marking if isinstance(run, MarkedRun) else ""

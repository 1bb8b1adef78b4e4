"""A retention study: measure the pretrained model, tune it by every method, compare, report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from cotune._files import file_names, inside, remove_folder
from cotune.answering import check_in_context, merge_notes
from cotune.exceptions import InputError, RunError
from cotune.findings.retention import RetentionData, retention_findings
from cotune.report import write_report
from cotune.studies.engine import Costs, Runner, RunRecord, Standing, Trained, artefact_record
from cotune.studies.retention._checkpoints import Selection
from cotune.studies.retention._data import retention_data
from cotune.studies.retention._design import (
    CHOSEN,
    PretrainedRun,
    RateCell,
    RetentionDesign,
    RetentionStudyRun,
    TuneRun,
)
from cotune.studies.retention._measure import label_set
from cotune.studies.retention._plan import retention_costs
from cotune.studies.retention._result import RetentionResult, write_results
from cotune.studies.retention._watcher import MEASURED, Notebook
from cotune.studies.retention._worker import RetentionWorker
from cotune.studies.retention.config import MethodArm, RetentionConfig
from cotune.tasks import get_metric
from cotune.training.encoded_tasks import EncodedTasks

Notes = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class RunUnderWay:
    """A run that has begun and not ended; ``step`` is the last one measured in its last stage, if any was."""

    method: str
    learning_rate: float
    seed: int
    step: int | None
    steps: int

    def sentence(self) -> str:
        """Say how far it is."""
        far = "before its last stage" if self.step is None else f"step {self.step} of {self.steps}"
        return f"{self.method} at learning rate {self.learning_rate:g} with seed {self.seed}: {far}"


@dataclass(frozen=True)
class RetentionStudy(RetentionDesign):
    """What tuning on targets leaves of a model's in-context learning, method by method."""

    config_class: ClassVar[type[RetentionConfig]] = RetentionConfig
    outputs: ClassVar[tuple[str, ...]] = ("models", "results.csv", "results.json")

    def check(self) -> dict[str, tuple[str, ...]]:
        """Check targets, other tasks and numbers; return by task what was cut or dropped."""
        self._check_targets()
        _ = self.types  # what does not fit is told before anything is spent
        config, encoder = self.config, self.encoder
        notes = {task.name: task.notes for task in (*self.targets, *self.evaluation)}
        asked = [(self.evaluation, config.in_context)]
        for demonstrations in sorted({arm.method.demonstrations for arm in config.methods}):
            of_targets = EncodedTasks(self.targets, lambda: encoder, demonstrations=demonstrations)
            notes = merge_notes(notes, of_targets.check())
            for split in ("validation", "test"):
                asked.append((self.targets, config.in_context.on_trained(split, demonstrations)))
        self._check_beside()
        found = (check_in_context(tasks, how, encoder, seeds=(config.seed,)) for tasks, how in asked)
        return merge_notes(notes, *found)

    def _check_beside(self) -> None:
        """Check that there is what methods put beside the targets, so that no run finds out."""
        config, encoder = self.config, self.encoder
        data = EncodedTasks(self.targets, lambda: encoder, base=self.base, others=self.others)
        for arm in config.methods:
            for stage in arm.method.stages(config.steps, config.training, config.targets):
                if stage.training.replay is not None:
                    data.windows(stage.training.replay)

    def _check_targets(self) -> None:
        """Check that the targets can be averaged and reached, and their labels randomised."""
        config, metrics = self.config, [get_metric(task.metric) for task in self.targets]
        if len({metric.higher_is_better for metric in metrics}) > 1:
            names = ", ".join(f"{t.name} {m.name}" for t, m in zip(self.targets, metrics, strict=True))
            raise InputError(
                f"{self.path}: targets: their metrics must have one direction, got {names}; set the "
                "readers' metric."
            )
        if config.equal_target != "auto" and config.equal_target > 1 and metrics[0].needs == "text":
            raise InputError(
                f"{self.path}: equal_target: must be at most 1, the most that {metrics[0].name} gives, "
                f"got {config.equal_target:g}."
            )
        if config.gradient_steps and not label_set(self.targets):
            free = next(t.name for t in self.targets if not label_set([t]))
            raise InputError(
                f"{self.path}: gradient_steps: labels are randomised there, and the target {free} has none: "
                "give it choices or leave gradient_steps out."
            )

    def worker(self) -> RetentionWorker:
        """Return what tunes and measures."""
        return RetentionWorker(
            config=self.config,
            targets=self.targets,
            evaluation=self.evaluation,
            others=self.others,
            base=self.base,
            states=self.states,
            stages=self.stages,
        )

    def trained(self) -> Iterator[Trained]:
        """Return every method on the targets."""
        for arm in self.config.methods:
            method = arm.method.on_targets(len(self.targets), self.config.steps)
            yield Trained(method, self.config.training, self.targets, others=self.others)

    def costs(self, *, measure: bool) -> Costs:
        """Count runs, steps, tokens and prompts."""
        return retention_costs(self, measure=measure, stored=self.stored_keys())

    def standing(self, runner: Runner[RetentionStudyRun]) -> Standing[RetentionStudyRun]:
        """Say how far every run under way is, and the verdict by those that are done."""
        under_way = list(self._under_way())
        known: dict[str, Any] = {"under_way": [asdict(run) for run in under_way]}
        sentences = [run.sentence() for run in under_way]
        pretrained, records = self._stored(runner)
        good = sum(record.error is None for record in records.values())
        if pretrained is not None and pretrained.error is None and good:
            found = retention_findings(retention_data(self, {}, pretrained, records, runner.stages))
            known["verdict"] = {"headline": found.verdict.headline, "sentence": found.verdict.sentence}
            if len(records) < len(self.runs["tuning"]):
                sentences.append(f"So far, by {len(records)} of {len(self.runs['tuning'])} runs:")
            sentences += [found.verdict.headline, found.verdict.sentence]
        return Standing(self.runs, known, sentences)

    def _stored(
        self, runner: Runner[RetentionStudyRun], leave: Mapping[RetentionStudyRun, Path] | None = None
    ) -> tuple[RunRecord | None, dict[TuneRun, RunRecord]]:
        """Return the records of the pretrained model and, where it could be measured, of the tunings."""
        pretrained = next(iter(runner.get("pretrained", [PretrainedRun()]).values()), None)
        if pretrained is None or pretrained.error is not None:
            return pretrained, {}
        found = runner.get("tuning", self.runs["tuning"], leave=leave)
        return pretrained, {run: record for run, record in found.items() if isinstance(run, TuneRun)}

    def _under_way(self) -> Iterator[RunUnderWay]:
        for run, cell in {run: cell for cell, run in self.cells.items()}.items():
            folder = self.states / self.key(run)
            if folder.is_dir():
                pages = Notebook(folder / MEASURED).pages()
                step = pages[-1]["checkpoint"]["step"] if pages else None
                place = (cell.arm.label, run.learning_rate, run.seed)
                yield RunUnderWay(*place, step=step, steps=self.config.steps)

    def builds_upon(self, place: Path) -> Sequence[Path]:
        """Return with the states all shared stages: what was measured in one stands in another file."""
        above = super().builds_upon(place)
        return (*above, self.stages) if place.is_relative_to(self.stages) else above

    def follow(self, runner: Runner[RetentionStudyRun], notes: Notes) -> RetentionResult:
        """Measure the pretrained model, tune it by every method, compare, report."""
        result = RetentionResult(study=self, notes=notes, stages=runner.stages)
        homes = self._homes() if self.config.keep else {}
        leave = {run: self._left / self.key(run) for run in self.runs["tuning"]} if self.config.keep else {}
        pretrained, records = self._stored(runner, leave)
        if pretrained is None:
            return result
        if pretrained.error is not None:
            raise RunError(f"The pretrained model could not be measured: {pretrained.error}")
        data = retention_data(self, notes, pretrained, records, runner.stages)
        result.findings = retention_findings(data)
        write_results(self.folder, result.findings, self.config.in_context.split)
        result.report = write_report(result.findings, self.folder / "report.html")
        if self.config.keep and runner.executes:
            self._keep_best(data, runner, homes)
        return result

    def _homes(self) -> dict[str, Path]:
        """Return where the best model of every method goes, which is refused where a link leads elsewhere."""
        names = file_names(arm.label for arm in self.config.methods)
        return {label: inside(self.folder / "models" / name, self.folder) for label, name in names.items()}

    def _keep_best(
        self, data: RetentionData, runner: Runner[RetentionStudyRun], homes: Mapping[str, Path]
    ) -> None:
        """Keep the best model of every method and take the others away; one that is lost is trained again."""
        best = {arm.label: self._best_cell(data, arm) for arm in self.config.methods}
        for folder in homes.values():
            # What was kept when step 0 could be chosen may be a model that nothing was done to.
            if folder.is_dir() and artefact_record(folder).get("chosen") != CHOSEN:
                remove_folder(folder, self.folder, ignore_errors=True)
        folders: dict[RetentionStudyRun, Path] = {
            self.cells[cell]: homes[label] for label, cell in best.items() if cell is not None
        }
        for run, folder in folders.items():
            fresh = self._left / self.key(run)
            if fresh.is_dir():
                remove_folder(folder, self.folder, ignore_errors=True)
                folder.parent.mkdir(exist_ok=True)
                fresh.rename(folder)
        remove_folder(self._left, self.folder, ignore_errors=True)
        runner.get("keeping", list(folders), folders)

    @property
    def _left(self) -> Path:
        """Folder of the models of all runs, until the best are chosen."""
        return self.shared / "models"

    def _best_cell(self, data: RetentionData, arm: MethodArm) -> RateCell | None:
        runs = {
            RateCell(arm, run.learning_rate, run.seed): run.checkpoints
            for run in data.runs
            if run.method == arm.label
        }
        return Selection.by(self.targets).best_run(runs)

"""Measures a run at its checkpoints and remembers, on disk, what it measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotune._files import write_text
from cotune._seals import json_text, read_json
from cotune.findings.retention import RetentionCheckpoint
from cotune.studies.retention._checkpoints import Selection, checkpoint_from_dict
from cotune.studies.retention._measure import Measure, TargetAnswers
from cotune.studies.retention.config import changes_weights
from cotune.training.methods import tasks_seen

if TYPE_CHECKING:
    from cotune.answering import InContextScore
    from cotune.evaluation.last_stage import StageChange
    from cotune.training.methods import Attached, Stage

MEASURED = "measured.json"
"""File with what a run under way measured in its last stage, beside its state."""


class RunWatcher:
    """What is asked at every checkpoint of a run.

    A run that was killed goes on from its last state, and what was measured before stays measured. The same
    holds for stages that it takes over from another run.

    Parameters
    ----------
    measure : Measure
        The questions.
    selection : Selection
        Which checkpoint is the better one.
    stages : sequence of Stage
        Those of the run, in order.
    demonstrations : int
        Fresh demonstrations before every input of the targets.
    gradient_steps : sequence of int
        Steps of the last stage at which gradients are compared.
    notebooks : mapping of str to Path
        By stage, the file for what is measured in it; what stands there is believed.
    memory : dict
        Of the tuning; what the last stage began with, which its checkpoints are compared with, is put there.
    """

    def __init__(
        self,
        measure: Measure,
        selection: Selection,
        stages: Sequence[Stage],
        *,
        demonstrations: int,
        gradient_steps: Sequence[int],
        notebooks: Mapping[str, Path],
        memory: dict[str, Any],
    ) -> None:
        self._measure, self._selection, self._stages = measure, selection, list(stages)
        self._demonstrations, self._gradient_steps = demonstrations, frozenset(gradient_steps)
        self._notebooks = {name: Notebook(path) for name, path in notebooks.items()}
        self._memory = memory
        self._left = _clocks()

    def checkpoint(self, attached: Attached, stage: Stage, step: int) -> float:
        """Measure the model as it is; return the validation score of the tasks seen, higher is better."""
        spent = {name: now - self._left[name] for name, now in _clocks().items()}
        notebook = self._notebooks[stage.name]
        found = notebook.find(step)
        if found is None:
            found = self._look(attached, stage, step)
            notebook.add(found, {**spent, **_sizes(attached, stage)})
        elif step == 0 and stage.name == self._stages[-1].name:
            # Measured by a run that was killed before it wrote a state, or whose state is lost.
            self._begin(attached, self._ask_targets(attached).answers)
        self._left = _clocks()
        return self._selection.utility(found, tasks_seen(self._stages, stage.name))

    def _ask_targets(self, attached: Attached) -> TargetAnswers:
        ids, demonstrations = attached.prompt_ids, self._demonstrations
        return self._measure.ask_targets(attached.module, ids, demonstrations=demonstrations)

    def _look(self, attached: Attached, stage: Stage, step: int) -> RetentionCheckpoint:
        module, measure = attached.module, self._measure
        changed = self._changed(stage, step)
        with attached.aside():
            scores = measure.in_context_scores(module) if changed else []
        ids, demonstrations = attached.prompt_ids, self._demonstrations
        last = stage.name == self._stages[-1].name
        align = last and step in self._gradient_steps and changes_weights(stage.trains)
        targets = self._ask_targets(attached)
        return RetentionCheckpoint(
            stage=stage.name,
            step=step,
            targets=targets.scores,
            in_context=measure.in_context_values(scores),
            alignment=measure.alignment(module, ids, demonstrations=demonstrations) if align else (),
            change=self._change(attached, step, targets.answers, scores) if last else None,
            untouched=not changed,
        )

    def _change(
        self, attached: Attached, step: int, answers: Sequence[str], scores: Sequence[InContextScore]
    ) -> StageChange | None:
        """Compare with what the last stage began with; None in what an earlier version of cotune began."""
        from cotune.evaluation.last_stage import Beginning, StageChange

        measure, demonstrations = self._measure, self._demonstrations
        if step == 0:
            self._begin(attached, answers)
            return StageChange.none()
        began = Beginning.kept(self._memory)
        if began is None:
            return None
        reaches = bool(scores)
        share = measure.changed_answers(scores) if reaches else 0.0
        return began.change(attached, measure.probes, demonstrations, answers, share, reaches_others=reaches)

    def _begin(self, attached: Attached, answers: Sequence[str]) -> None:
        """Take down what the last stage begins with."""
        from cotune.evaluation.last_stage import Beginning

        Beginning.of(attached, self._measure.probes, self._demonstrations, answers).keep(self._memory)

    def payload(self, tokens: int) -> dict[str, Any]:
        """Return what the run's record holds.

        Parameters
        ----------
        tokens : int
            Training tokens of all stages.
        """
        pages = [page for stage in self._stages for page in self._notebooks[stage.name].pages()]
        join: dict[str, Callable[[Iterable[Any]], Any]] = {
            "cpu_seconds": sum,
            "wall_seconds": sum,
            "trainable_parameters": max,
            "disk_bytes": max,
        }
        cost = {name: of(page["cost"][name] for page in pages) for name, of in join.items()}
        return {
            "checkpoints": [page["checkpoint"] for page in pages],
            "cost": {**cost, "tokens": tokens},
        }

    def _changed(self, stage: Stage, step: int) -> bool:
        """Tell whether the weights can be others than the pretrained model's."""
        if stage.mixes and step == 0:  # which begins with the weights of the base
            return False
        before = self._stages[: [s.name for s in self._stages].index(stage.name)]
        return any(changes_weights(s.trains) for s in before) or (changes_weights(stage.trains) and step > 0)


class Notebook:
    """What was measured in one stage, in a file that runs of the same stage may share.

    Parameters
    ----------
    path : Path
        The file, made with the first measurement.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def pages(self) -> list[dict[str, Any]]:
        """Return the checkpoints as plain JSON types, each with what its steps cost, in their order."""
        if not self._path.is_file():
            return []
        pages: list[dict[str, Any]] = read_json(self._path, listed="pages")["pages"]
        return pages

    def find(self, step: int) -> RetentionCheckpoint | None:
        """Return what was measured at a step: by this run before it was killed, or by another."""
        pages = (page["checkpoint"] for page in self.pages())
        found = next((page for page in pages if page["step"] == step), None)
        return found and checkpoint_from_dict(found)

    def add(self, checkpoint: RetentionCheckpoint, cost: Mapping[str, float]) -> None:
        """Note a checkpoint and what the steps before it cost."""
        page = {"checkpoint": asdict(checkpoint), "cost": dict(cost)}
        write_text(self._path, json_text({"pages": [*self.pages(), page]}))


def _sizes(attached: Attached, stage: Stage) -> dict[str, int]:
    return {
        "trainable_parameters": sum(p.numel() for part in stage.trains for p in attached.parts[part]),
        "disk_bytes": sum(p.numel() * p.element_size() for p in attached.parameters),
    }


def _clocks() -> dict[str, float]:
    return {"cpu_seconds": time.process_time(), "wall_seconds": time.perf_counter()}

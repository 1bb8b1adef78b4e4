"""Propose, score, keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cotune.exceptions import InputError
from cotune.instructions._config import InstructionsConfig
from cotune.instructions._keep import keep
from cotune.instructions._propose import from_examples, variations
from cotune.instructions._score import score_instruction
from cotune.instructions._types import ScoredInstruction
from cotune.models import LanguageModel, Sampling
from cotune.tasks import Example, Task

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it and of how much."""

_SEEDLINGS = 5
"""The best instructions, of which variations are asked for."""


def generate_instructions(
    model: LanguageModel,
    task: Task,
    config: InstructionsConfig | None = None,
    *,
    given: Sequence[str] = (),
    progress: Progress | None = None,
) -> list[ScoredInstruction]:
    """Find instructions for a task: propose from examples, score, vary the best, score, keep.

    Automatic prompt engineering (Zhou et al. 2023, arXiv 2211.01910) with one round of resampling. Only
    training examples are looked at, and those that instructions are scored on are never shown. The same
    model, task and configuration give the same instructions.

    Parameters
    ----------
    model : LanguageModel
        Writes and scores.
    task : Task
        The task; its own instruction plays no part.
    config : InstructionsConfig, optional
        How many, and how they are found.
    given : sequence of str
        Instructions that people wrote, to be varied and kept along with the others.
    progress : callable, optional
        Called with "proposing", "scoring" or "varying", done and total.

    Returns
    -------
    list of ScoredInstruction
        At most ``config.n``, the best first; fewer where no more were found that differ and are better than
        no instruction.

    Raises
    ------
    InputError
        If the task has too few training examples, or cannot be scored as asked.
    """
    config = config or InstructionsConfig()
    shown, scored = _held_apart(task, config)
    tell = progress or (lambda what, done, total: None)
    table = _Table(model, task, scored, config.score, tell)
    table.add(given, "given")
    tell("proposing", 0, config.proposals)
    proposed = from_examples(
        model,
        shown,
        count=config.proposals,
        demonstrations=config.demonstrations,
        sampling=Sampling(config.seed, config.temperature, config.top_p),
        max_new_tokens=config.max_new_tokens,
    )
    tell("proposing", config.proposals, config.proposals)
    table.add(proposed, "examples")
    best = keep(table.rows, _SEEDLINGS + len(given), most_alike=config.most_alike)
    tell("varying", 0, config.variations)
    varied = variations(
        model,
        [each.instruction for each in best],
        count=config.variations,
        # Another stream of draws than that of the proposals.
        sampling=Sampling(config.seed + 1_000_003, config.temperature, config.top_p),
        max_new_tokens=config.max_new_tokens,
    )
    tell("varying", config.variations, config.variations)
    table.add(varied, "variation")
    return keep(table.rows, config.n, most_alike=config.most_alike)


def _held_apart(task: Task, config: InstructionsConfig) -> tuple[list[Example], list[Example]]:
    """Part training examples into those that are shown and those that are scored on."""
    train = task["train"]
    least = config.examples + 2
    if len(train) < least:
        raise InputError(
            f"The task {task.name} has {len(train)} training examples; instructions that are scored on "
            f"{config.examples} of them need at least {least}."
        )
    order = np.random.default_rng((config.seed, 1)).permutation(len(train))
    held = {int(at) for at in order[: config.examples]}
    return [e for at, e in enumerate(train) if at not in held], [train[at] for at in sorted(held)]


@dataclass
class _Table:
    """Scores instructions, each once."""

    model: LanguageModel
    task: Task
    examples: Sequence[Example]
    by: Literal["likelihood", "accuracy"]
    tell: Progress
    rows: list[ScoredInstruction] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.floor = self._score("")

    def add(self, texts: Sequence[str], source: Literal["examples", "variation", "given"]) -> None:
        """Score what is not scored yet."""
        known = {row.instruction for row in self.rows}
        fresh = [text for text in dict.fromkeys(map(str.strip, texts)) if text and text not in known]
        for done, text in enumerate(fresh, start=1):
            score = self._score(text)
            self.rows.append(ScoredInstruction(text, score, score - self.floor, source))
            self.tell(f"scoring, {source}", done, len(fresh))

    def _score(self, instruction: str) -> float:
        return score_instruction(self.model, self.task, instruction, self.examples, self.by)

"""Prompt tuning (Lester et al. 2021): a soft prompt is trained, the model is frozen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from cotune.training.config import TrainingConfig
from cotune.training.methods._change import unchanged
from cotune.training.methods._method import Attached, Stage
from cotune.training.methods._soft_prompt import PromptStageMethod

if TYPE_CHECKING:
    from pathlib import Path

    from cotune.models import LanguageModel


class Prompt(PromptStageMethod):
    """A soft prompt before the inputs of the frozen base."""

    trains: ClassVar[tuple[str, ...]] = ("prompt",)
    sized_by: ClassVar[str | None] = "prompt_length"

    prompts: Literal["per_task", "shared"] = "shared"
    """Whether every task of a run has a prompt of its own; then tasks have nothing in common. Of several
    targets (``targets`` of a retention study, cotune tune) each has its own unless this says otherwise."""

    def on_targets(self, n: int, steps: int) -> Self:
        """Return the method with a prompt for each of several targets, as ProMoT's first stage has."""
        if n < 2 or "prompts" in self.model_fields_set:
            return super().on_targets(n, steps)
        return self.model_copy(update={"prompts": "per_task"}).on_targets(n, steps)

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
        """Put fresh prompts on the base; leaving the context takes them off."""

        def nothing(folder: Path) -> None: ...

        try:
            bare = Attached(model.base, {}, nothing, weight_change=unchanged)
            with self.under_prompts(self.draw(model, tasks), bare) as attached:
                yield attached
        finally:
            model.base.eval()

    def stages(self, steps: int, training: TrainingConfig, tasks: Sequence[str] = ()) -> tuple[Stage, ...]:
        """Return the one stage, which is that of ProMoT's prompt."""
        return (self.prompt_stage(steps, training),)

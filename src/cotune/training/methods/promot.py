"""ProMoT: first a soft prompt, then the model under the frozen prompt; and its ablations (section 5.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import model_validator

from cotune.training.config import TrainingConfig
from cotune.training.methods._method import Stage
from cotune.training.methods._soft_prompt import PromptedWeightsMethod, PromptStageMethod

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import SoftPrompts


class Promot(PromptStageMethod, PromptedWeightsMethod):
    """Two stages (section 4 of the paper): the soft prompt takes the format up, the weights learn the rest.

    The first stage trains the prompt on the frozen model, the second the weights under the frozen prompt. For
    inputs of other formats the prompt is left out. On several tasks at once (section 5.3, appendix A.2) each
    has a prompt of its own and the stages take batches of all; in sequence each task has its two stages, and
    the weights carry over.
    """

    steps_ratio: ClassVar[int] = 5
    """5000 steps of the first stage to 1000 of the second in the paper."""

    order: Literal["together", "sequence"] = "together"
    """Whether several tasks are trained together or one after another."""

    @model_validator(mode="after")
    def _sequence_has_prompts(self) -> Promot:
        if self.order == "sequence" and self.prompts == "shared":
            raise ValueError("tasks in sequence need prompts: per_task, got prompts: shared.")
        return self

    @property
    def trains_prompts_together(self) -> bool:
        """Whether prompts of several tasks are trained in one stage; in a sequence each has its own."""
        return self.order == "together" and super().trains_prompts_together

    def prompt_parts(self, prompts: SoftPrompts) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return one part for all prompts, or in sequence one for each."""
        if self.order == "together" or len(prompts.parameters) == 1:
            return super().prompt_parts(prompts)
        return {f"prompt {task}": (vectors,) for task, vectors in prompts.parameters.items()}

    def stages(self, steps: int, training: TrainingConfig, tasks: Sequence[str] = ()) -> tuple[Stage, ...]:
        """Return the two stages, or in sequence the two of each task."""
        if self.order == "together" or len(tasks) <= 1:
            return (
                self.prompt_stage(steps, training),
                Stage("weights", steps, training, ("weights",)),
            )
        return tuple(
            stage
            for task in tasks
            for stage in (
                self.prompt_stage(steps, training, part=f"prompt {task}", tasks=(task,)),
                Stage(f"weights {task}", steps, training, ("weights",), (task,)),
            )
        )


class Joint(PromptedWeightsMethod):
    """One stage that trains the soft prompt and the weights at one learning rate."""

    trains: ClassVar[tuple[str, ...]] = ("prompt", "weights")


class RandomPrompt(PromptedWeightsMethod):
    """The weights are tuned under a prompt that is drawn once and stays as it is."""

    prompt_init: Literal["uniform"] = "uniform"
    """Uniform in (-0.5, 0.5), as in the paper."""

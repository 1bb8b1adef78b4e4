"""What the methods with soft prompts share: their options, how a prompt comes onto a model, its own stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt

from cotune._files import file_names
from cotune.training.config import TrainingConfig
from cotune.training.methods._method import Attached, Method, Stage
from cotune.training.methods._weights import WeightsMethod

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel, SoftPrompts


_STEP = 0.1
"""What a step of a prompt's own stage moves it by, as a share of the size of the embeddings."""


class SoftPromptMethod(Method):
    """A method that puts soft prompts before the inputs."""

    prompt_length: PositiveInt = 100
    """Virtual tokens of a soft prompt."""
    prompt_init: Literal["vocabulary", "uniform"] = "vocabulary"
    """A fresh prompt: embeddings of tokens sampled from the 5000 lowest ids, or uniform in (-0.5, 0.5)."""
    prompts: Literal["per_task", "shared"] = "per_task"
    """Whether every task of a run has a prompt of its own."""

    @property
    def virtual_tokens(self) -> int:
        """Tokens of a soft prompt before every input."""
        return self.prompt_length

    def draw(self, model: LanguageModel, tasks: Sequence[str]) -> SoftPrompts:
        """Draw the fresh prompts of a run; without tasks, one for whatever comes."""
        from cotune.models import SoftPrompts

        names = tasks if tasks and self.prompts == "per_task" else ("",)
        return SoftPrompts.draw(model, names, self.prompt_length, self.prompt_init)

    def prompt_parts(self, prompts: SoftPrompts) -> Mapping[str, Sequence[nn.Parameter]]:
        """Return the parts that the prompts are."""
        return {"prompt": tuple(prompts.parameters.values())}

    @contextmanager
    def under_prompts(self, prompts: SoftPrompts, attached: Attached) -> Iterator[Attached]:
        """Put prompts onto a model, with or without other parts on it."""
        alone = not attached.parts

        def write(folder: Path) -> None:
            if alone:
                _write_prompts(prompts, folder, base=None)
                return
            for name in ("prompt", "weights"):
                (folder / name).mkdir()
            _write_prompts(prompts, folder / "prompt", base="weights")
            attached.write(folder / "weights")

        with prompts.attached():
            parts = {**self.prompt_parts(prompts), **attached.parts}
            yield replace(attached, parts=parts, write=write, prompts=prompts)


class PromptStageMethod(SoftPromptMethod):
    """A method with a stage that trains the prompt while the model is frozen."""

    stage_options: ClassVar[Mapping[str, str]] = {
        "learning_rate": "prompt_learning_rate",
        "weight_decay": "prompt_weight_decay",
        "checkpoint_every": "prompt_checkpoint_every",
    }

    steps_ratio: ClassVar[int] = 1
    """Steps of the stage that trains the prompt to one of the run, where nobody says how many."""

    prompt_steps: PositiveInt | None = None
    """Steps of the stage that trains the prompt; by default those of the run for prompt tuning, and five
    times those for ProMoT, as in the paper. Twice as many where the prompts of several targets are trained
    together (appendix A.2), for each is before its own part of a batch alone."""
    prompt_learning_rate: PositiveFloat = 0.2
    """Peak learning rate of that stage, by default the paper's; the rest of its recipe is that of the run."""
    prompt_weight_decay: Annotated[float, Field(ge=0)] | None = None
    """Weight decay of that stage; by default that of the run."""
    prompt_checkpoint_every: PositiveInt | None = None
    """Steps between checkpoints of that stage; by default those of the run."""

    def suited(self, model: LanguageModel) -> Self:
        """Return the method with a learning rate of the prompt's stage that suits the model, if none was set.

        A step of AdamW or Adafactor moves every number by about the learning rate, whatever its gradient, so
        the rate is a share of what the numbers measure: of the embeddings that a prompt begins as.
        """
        if "prompt_learning_rate" in self.model_fields_set:
            return self
        from cotune.models.soft_prompt import embedding_scale

        rate = float(f"{_STEP * embedding_scale(model):.2g}")
        return self.model_copy(update={"prompt_learning_rate": rate})

    def on_targets(self, n: int, steps: int) -> Self:
        """Return the method with twice the steps of the prompts' stage where several are trained together."""
        if n < 2 or not self.trains_prompts_together:
            return self
        once = self.prompt_steps or self.steps_ratio * steps
        return self.model_copy(update={"prompt_steps": 2 * once})

    @property
    def trains_prompts_together(self) -> bool:
        """Whether prompts of several tasks are trained in one stage."""
        return self.prompts == "per_task"

    def prompt_stage(
        self, steps: int, training: TrainingConfig, *, part: str = "prompt", tasks: tuple[str, ...] = ()
    ) -> Stage:
        """Return the stage that trains a prompt."""
        # Parameter scaling is for weights: a prompt's learning rate is absolute (Lester et al. 2021).
        # It stands before no plain text, from which it could not learn.
        changes: dict[str, Any] = {
            "learning_rate": self.prompt_learning_rate,
            "scale_parameter": False,
            "replay": None,
        }
        if self.prompt_weight_decay is not None:
            changes["weight_decay"] = self.prompt_weight_decay
        return Stage(
            part,
            self.prompt_steps or self.steps_ratio * steps,
            training.model_copy(update=changes),
            (part,),
            tasks,
            self.prompt_checkpoint_every,
        )


class PromptedWeightsMethod(SoftPromptMethod, WeightsMethod):
    """A method that tunes the weights with a soft prompt before the inputs."""

    @contextmanager
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> Iterator[Attached]:
        """Put fresh prompts and tunable weights on the base; leaving the context takes them off.

        At first the parts of :attr:`trains` are trained.
        """
        # Drawn first, so that the prompts of a seed do not depend on how the weights are tuned.
        prompts = self.draw(model, tasks)
        with self.weights.attach(model, tasks) as weights, self.under_prompts(prompts, weights) as attached:
            attached.train_only(self.trains)
            yield attached


def _write_prompts(prompts: SoftPrompts, folder: Path, *, base: str | None) -> None:
    """Write one prompt into a folder, several into one folder each, named as the tasks."""
    several = len(prompts.parameters) > 1
    for name, called in file_names(prompts.parameters).items():
        home = folder / called if several else folder
        home.mkdir(exist_ok=True)
        prompts.save(name, home, base=base and f"{'../' * (1 + several)}{base}")

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import PositiveInt

from cotune._config import from_table
from cotune.models import ProfileName
from cotune.tasks import Task
from cotune.training.config import TrainingConfig
from cotune.training.learner_config import LearnerConfig
from cotune.training.methods import METHODS, Lora, Method

if TYPE_CHECKING:
    from cotune.training.language_model._learner import LanguageModelLearner


class LanguageModelConfig(LearnerConfig):
    """A pretrained model and how adapters are trained on it."""

    model: str
    """Folder of a transformers checkpoint (relative to the study file), or a name on the hub."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Type of the frozen weights; "auto" takes bf16 where the hardware multiplies it natively."""
    profile: ProfileName = "auto"
    """What the model's family adds to prompts and targets: "sentinel" for models pretrained on span
    corruption alone (T5 v1.1, mT5), "plain" for all others; by default told from the checkpoint."""
    max_prompt_tokens: PositiveInt = 512
    """A longer prompt has its example's input cut at the end."""
    max_target_tokens: PositiveInt = 128
    """An example with a longer target is dropped; also the most tokens generated."""
    method: Annotated[Method, from_table(METHODS, "name")] = Lora()
    """What is trained: {name: lora, r: 8, ...}."""
    training: TrainingConfig = TrainingConfig()
    """The recipe."""
    scoring_tokens: PositiveInt = 1024
    """About how many tokens one forward pass holds while scoring."""

    def build(self, tasks: Sequence[Task], base: Path) -> LanguageModelLearner:
        """Make the learner; the model is loaded on first use."""
        from cotune.training.language_model._learner import LanguageModelLearner

        return LanguageModelLearner(self, tasks, base)

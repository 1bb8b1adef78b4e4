"""Measures what a stage changed, from a few prompts whose next tokens are predicted before and after."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from cotune.answering import InContextConfig, TaskPrompts
from cotune.evaluation.last_stage._types import StageChange
from cotune.models import Encoded, LanguageModel
from cotune.tasks import Task

if TYPE_CHECKING:
    from torch import nn

    from cotune.training.methods import Attached

_TARGET, _OTHER, _TOKENS = 16, 32, 3
"""About how many prompts of the targets and of the other tasks, and how many tokens of each right answer:
what is kept of them is as wide as the vocabulary."""
_MEMORY = "beginning"
"""Under which a tuning's memory has what its last stage began with."""

PromptIds = Callable[[str], tuple[int, ...]]
Distributions = list[torch.Tensor]
"""For every prompt, log-probabilities of shape (tokens, vocabulary)."""


def share_changed(before: Sequence[str], after: Sequence[str]) -> float | None:
    """Return the share of answers that are others than before; None without any.

    Examples
    --------
    >>> share_changed(["T", "F", "T", "F"], ["T", "F", "T", "T"])
    0.25
    """
    if not before:
        return None
    return sum(old != new for old, new in zip(before, after, strict=True)) / len(before)


@dataclass(frozen=True)
class Probes:
    """The prompts that every model is asked to predict the next tokens of.

    Parameters
    ----------
    model : LanguageModel
        Tokenizer and base.
    targets, others : sequence of Task
        Those tuned on, and those asked in context.
    in_context : InContextConfig
        How the others are put; the prompts are those with the most demonstrations.
    seed : int
        Under which demonstrations are drawn.
    """

    model: LanguageModel
    targets: Sequence[Task]
    others: Sequence[Task]
    in_context: InContextConfig
    seed: int
    _on_targets: dict[Any, list[Encoded]] = field(default_factory=dict, init=False)
    _of_pretrained: Distributions = field(default_factory=list, init=False)

    def of_targets(self, module: nn.Module, prompt_ids: PromptIds, demonstrations: int) -> Distributions:
        """Predict the answers of the targets, put as they are trained."""
        ids = tuple((task.name, prompt_ids(task.name)) for task in self.targets)
        if (demonstrations, ids) not in self._on_targets:
            how = self.in_context.on_trained("test", demonstrations)
            asked = self._prompts(self.targets, how, _TARGET, dict(ids))
            self._on_targets[demonstrations, ids] = asked
        return self._predict(module, self._on_targets[demonstrations, ids])

    def of_others(self, module: nn.Module) -> Distributions:
        """Predict the answers of the other tasks, without any soft prompt."""
        return self._predict(module, self._other_prompts)

    def know_pretrained(self) -> None:
        """Ask the base about the other tasks; to be called once, before anything is put on it."""
        if not self._of_pretrained:
            self._of_pretrained.extend(self.of_others(self.model.base))

    def divergence_from_pretrained(self, module: nn.Module) -> float:
        """Return the divergence on the other tasks' prompts from what the base predicted of them."""
        assert self._of_pretrained, "know_pretrained comes first"
        return _divergence(self._of_pretrained, self.of_others(module))

    @cached_property
    def _other_prompts(self) -> list[Encoded]:
        shots = max(self.in_context.shots)
        how = self.in_context.model_copy(update={"shots": (shots,), "draws": 1})
        # Of more tasks than there are prompts, some evenly spread ones.
        some = self.others[:: max(1, -(-len(self.others) // _OTHER))]
        return self._prompts(some, how, _OTHER)

    def _prompts(
        self,
        tasks: Sequence[Task],
        how: InContextConfig,
        about: int,
        soft_prompts: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
    ) -> list[Encoded]:
        """Encode a few examples of each task with the beginning of their right answers."""
        (shots,) = how.shots
        found: list[Encoded] = []
        for task in tasks:
            most = min(max(1, about // len(tasks)), how.max_examples or about)
            prompts = TaskPrompts(
                task,
                how.model_copy(update={"max_examples": most}),
                self.model.encoder,
                seed=self.seed,
                soft_prompt=soft_prompts.get(task.name, ()),
                context=self.model.context,
            )
            found += prompts.scored(shots, 0)
        return [replace(one, target=one.target[:_TOKENS], n_end=0) for one in found]

    def _predict(self, module: nn.Module, prompts: Sequence[Encoded]) -> Distributions:
        model = self.model
        found: dict[int, torch.Tensor] = {}
        with torch.inference_mode(), model.autocast():
            for indices in model.chunks(prompts, model.batch_tokens):
                batch = model.batch([prompts[at] for at in indices])
                logits = model.target_logits(module, batch).float().log_softmax(-1).cpu()
                for place, at in enumerate(indices):
                    found[at] = logits[(batch.example == place).cpu()]
        return [found[at] for at in range(len(prompts))]


@dataclass(frozen=True)
class Beginning:
    """What a stage began with.

    Parameters
    ----------
    numbers : Tensor
        Sums and norms of what it trains: any step changes them.
    target : list of Tensor
        Distributions on the targets' prompts.
    answers : tuple of str
        To the targets' test examples.
    """

    numbers: torch.Tensor
    target: Distributions
    answers: tuple[str, ...]

    @classmethod
    def of(cls, attached: Attached, probes: Probes, demonstrations: int, answers: Sequence[str]) -> Beginning:
        """Take down where a model stands before the first step of a stage."""
        target = probes.of_targets(attached.module, attached.prompt_ids, demonstrations)
        return cls(_numbers(attached.trained), target, tuple(answers))

    def keep(self, memory: dict[str, Any]) -> None:
        """Put it into the memory of a tuning, which is written with its states."""
        memory[_MEMORY] = {"numbers": self.numbers, "target": self.target, "answers": list(self.answers)}

    @classmethod
    def kept(cls, memory: Mapping[str, Any]) -> Beginning | None:
        """Take it from there; None where there is none."""
        if _MEMORY not in memory:
            return None
        content = memory[_MEMORY]
        return cls(content["numbers"], content["target"], tuple(content["answers"]))

    def change(
        self,
        attached: Attached,
        probes: Probes,
        demonstrations: int,
        answers: Sequence[str],
        answers_other: float | None,
        *,
        reaches_others: bool,
    ) -> StageChange:
        """Compare a model with it.

        Parameters
        ----------
        attached : Attached
            The model, with the parts of the stage set to be trained.
        probes : Probes
            Those that the beginning was asked.
        demonstrations : int
            Solved examples before every input of the targets.
        answers : sequence of str
            To the targets' test examples.
        answers_other : float or None
            Share of changed answers to the other tasks.
        reaches_others : bool
            Whether anything that was trained stays when soft prompts are left out.
        """
        target = probes.of_targets(attached.module, attached.prompt_ids, demonstrations)
        kl_other = 0.0 if probes.others else None
        if probes.others and reaches_others:
            with attached.aside():
                kl_other = probes.divergence_from_pretrained(attached.module)
        found: dict[str, float | None] = {
            "weights": None if attached.weight_change is None else attached.weight_change(),
            "kl_target": _divergence(self.target, target),
            "kl_other": kl_other,
            "answers_target": share_changed(self.answers, answers),
            "answers_other": answers_other,
        }
        # A number may move by so little that nothing follows of it.
        moved = any(found.values()) and not torch.equal(self.numbers, _numbers(attached.trained))
        return StageChange(moved=moved, **found)


def _divergence(before: Distributions, after: Distributions) -> float:
    """Average over prompts, of each over the tokens, the divergence of two distributions in nats."""
    of_prompts = []
    for old, new in zip(before, after, strict=True):
        terms = torch.where(old.isneginf(), 0.0, old.exp() * (old - new))
        of_prompts.append(float(terms.sum(-1).clamp(min=0).mean()))
    return math.fsum(of_prompts) / len(of_prompts)


def _numbers(parameters: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return sums and norms of parameters, in double precision, where a change of the last bit shows."""
    rows = []
    for parameter in parameters:
        values = parameter.detach()
        if values.device.type not in ("cpu", "cuda"):  # others have no double precision
            values = values.cpu()
        norm = torch.linalg.vector_norm(values, dtype=torch.float64)
        rows.append(torch.stack([values.sum(dtype=torch.float64), norm]).cpu())
    return torch.stack(rows) if rows else torch.zeros(0, 2)

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from pydantic import NonNegativeInt

from cotune._config import Config
from cotune._repr import Brief
from cotune.training.config import TrainingConfig
from cotune.training.replay import ReplayConfig

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from cotune.models import Encoded, LanguageModel, SoftPrompts
    from cotune.models.batching import Batch


@dataclass(frozen=True, slots=True)
class Stage(Brief):
    """A part of a training run with a recipe of its own.

    Parameters
    ----------
    name : str
        What it trains.
    steps : int
        Optimiser steps.
    training : TrainingConfig
        The recipe.
    trains : tuple of str
        Names of the parts that are trained; all others are frozen.
    tasks : tuple of str
        The tasks it trains on; empty for all of the run.
    checkpoint_every : int or None
        Steps between checkpoints; None for those of the run.
    mixes : tuple of float
        Where there are any, a step of the stage trains nothing: it sets the parameters that far from those of
        the base (0) towards what the stage before it came to (1).
    """

    name: str
    steps: int
    training: TrainingConfig
    trains: tuple[str, ...]
    tasks: tuple[str, ...] = ()
    checkpoint_every: int | None = None
    mixes: tuple[float, ...] = ()

    def content(self, base: Path) -> dict[str, Any]:
        """Return it as plain JSON types with a hash of the text replayed, to tell runs apart.

        Parameters
        ----------
        base : Path
            Folder that relative paths of the text start from.
        """
        plain = {**asdict(self), "training": self.training.content(base)}
        # The hashes of runs are older than mixes are.
        return {name: value for name, value in plain.items() if name != "mixes" or value}


def tasks_seen(stages: Sequence[Stage], name: str) -> frozenset[str]:
    """Return the tasks that a run has been trained on by the end of a stage; empty for all of them.

    In a sequence of tasks nothing is known of those to come: a checkpoint is chosen by the others.
    """
    up_to = stages[: [stage.name for stage in stages].index(name) + 1]
    if not all(stage.tasks for stage in up_to):
        return frozenset()
    return frozenset(task for stage in up_to for task in stage.tasks)


TokenFactors: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"
"""Of logits of shape (t, v) and the right tokens of shape (t,), a factor of each token's loss."""


@dataclass(frozen=True)
class Terms(Brief):
    """What a method minimises in place of the likelihood of right answers; without any, that.

    Parameters
    ----------
    token_factors : callable, optional
        Gives factors of the losses of the targets' tokens; no gradient goes through them.
    replay_losses : callable (module, batch), optional
        Gives the loss of every target token of what is replayed, in place of its negative log-likelihood.
    answers : callable (examples), optional
        Gives what is replayed other targets.
    """

    token_factors: TokenFactors | None = None
    replay_losses: Callable[[nn.Module, Batch], Tensor] | None = None
    answers: Callable[[Sequence[Encoded]], Sequence[Encoded]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The terms there are."""
        return tuple(name for name, term in vars(self).items() if term is not None)


@dataclass(frozen=True)
class Attached(Brief):
    """A base model with what a method put on it.

    Parameters
    ----------
    module : Module
        What runs forward and generates: the base, or the base under an adapter.
    parts : mapping of str to sequence of Parameter
        All that the method may train, by part; no parameter belongs to two.
    write : callable (folder)
        Writes what was trained into an existing folder.
    prompts : SoftPrompts, optional
        The soft prompts.
    silent : sequence of Parameter
        Fresh parameters whose gradient is zero by construction as long as nothing is trained.
    weight_change : callable, optional
        Returns how far the weights are from the base's, adapters merged: the norm of the difference over that
        of the base's adapted weights. None where a method cannot tell.
    aside : callable
        Takes off, in a context, what belongs to the targets alone and is no prompt: so other tasks meet the
        model.
    as_base : callable, optional
        Makes the module, in a context and without gradients, what the base was before anything was put on it;
        no second copy of the model is held for it. None where a method cannot.
    mix : callable (values, share), optional
        Sets the weights that far (0 to 1) from the base's towards what they are at some values of the part
        ``weights``. None where these weights are no linear function of what is trained.
    terms : Terms
        What is minimised.
    """

    module: nn.Module
    parts: Mapping[str, Sequence[nn.Parameter]]
    write: Callable[[Path], None]
    prompts: SoftPrompts | None = None
    silent: Sequence[nn.Parameter] = ()
    weight_change: Callable[[], float] | None = None
    aside: Callable[[], AbstractContextManager[None]] = nullcontext
    as_base: Callable[[], AbstractContextManager[None]] | None = None
    mix: Callable[[Sequence[Tensor], float], None] | None = None
    terms: Terms = field(default_factory=Terms)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of all parts."""
        return [parameter for part in self.parts.values() for parameter in part]

    @property
    def trained(self) -> list[nn.Parameter]:
        """The parameters that are not frozen at present."""
        return [parameter for parameter in self.parameters if parameter.requires_grad]

    @property
    def first_order(self) -> list[nn.Parameter]:
        """The parameters with a gradient at the fresh model that is not zero by construction."""
        still = {id(parameter) for parameter in self.silent}
        return [parameter for parameter in self.parameters if id(parameter) not in still]

    def train_only(self, parts: Sequence[str]) -> None:
        """Freeze all parts but those named."""
        for name, part in self.parts.items():
            for parameter in part:
                parameter.requires_grad_(name in parts)
                parameter.grad = None

    def prompt_ids(self, task: str) -> tuple[int, ...]:
        """Return the token ids that stand before every input of a task; none without a soft prompt.

        A method that was not given tasks, or has one prompt for all of them, returns the same for every task.
        """
        if self.prompts is None:
            return ()
        return self.prompts.ids(
            task if task in self.prompts.parameters else next(iter(self.prompts.parameters))
        )

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """Write what was trained into an existing folder, loadable by its own library alone.

        The tokenizer lies beside it. There is no card: what PEFT writes as such says nothing.

        A method of one part writes a PEFT adapter or a transformers checkpoint into the folder itself, one
        with a soft prompt on tuned weights into its subfolders ``prompt`` and ``weights``. Several prompts
        have a subfolder each, named as the tasks.
        """
        self.write(folder)
        for card in folder.glob("**/README.md"):
            card.unlink()
        for file in folder.glob("**/adapter_config.json"):
            _put_in_order(file)
        if not (folder / "tokenizer_config.json").is_file():  # with a whole model there is one
            tokenizer.save_pretrained(str(folder))


def _put_in_order(file: Path) -> None:
    """Sort the names of modules, which PEFT keeps as sets: their order is that of the process's hash seed."""
    content = json.loads(file.read_text(encoding="utf-8"))
    for key in ("target_modules", "exclude_modules"):
        if isinstance(content.get(key), list):
            content[key] = sorted(content[key])
    file.write_text(json.dumps(content, indent=2, sort_keys=True), encoding="utf-8")


class Method(Config):
    """What is trained on top of the shared base model; its fields are the method's options."""

    trains: ClassVar[tuple[str, ...]] = ("weights",)
    """The parts that a run of one stage trains."""
    sized_by: ClassVar[str | None] = None
    """The option that the number of trained parameters grows with, linearly; None where there is none."""

    stage_options: ClassVar[Mapping[str, str]] = {}
    """By what a stage of its own replaces (of the recipe, or how often there are checkpoints), the option."""

    demonstrations: NonNegativeInt = 0
    """Solved examples, freshly drawn from the training split, before every input of training and of the
    evaluation on the trained task: the "+1-shot" of the ProMoT paper."""

    @property
    def kind(self) -> str:
        """What it is called in hashes of runs: its class, with the module where that is not cotune's."""
        cls = type(self)
        ours = cls.__module__.partition(".")[0] == "cotune"
        return cls.__name__ if ours else f"{cls.__module__}.{cls.__name__}"

    def resized(self, size: int) -> Self:
        """Return the method with another value of the option it is sized by."""
        assert self.sized_by is not None, "the caller has looked"
        return self.model_copy(update={self.sized_by: size})

    def suited(self, model: LanguageModel) -> Self:
        """Return the method with what nobody set and the model decides; by default as it is."""
        return self

    chosen_by_validation: ClassVar[bool] = False
    """Whether its last stage only makes candidates, of which validation examples choose: it cannot be trained
    where nothing is asked along the way."""

    @property
    def beside(self) -> ReplayConfig | None:
        """What of other tasks, or plain text, it puts beside the targets' examples of its own accord."""
        return None

    @property
    def tuned_by(self) -> Method:
        """How the weights are tuned, where it does something about that; else itself."""
        return self

    def only(self, modules: Sequence[str]) -> Self:
        """Return the method on the weights of modules of some names alone, where it can be put so."""
        raise NotImplementedError

    above_alone: ClassVar[bool] = False
    """Whether it can be put on the upper layers of a model alone."""

    def above(self, layers: Sequence[int], *, decoder: bool = False) -> Self:
        """Return the method on some layers alone, where it can be (:attr:`above_alone`).

        Parameters
        ----------
        layers : sequence of int
            Places of the layers, from 0.
        decoder : bool
            Whether they are those of the decoder of a model that has an encoder too.
        """
        raise NotImplementedError

    def on_targets(self, n: int, steps: int) -> Self:
        """Return the method as it is put to several target tasks of one run; by default as it is.

        Parameters
        ----------
        n : int
            How many they are.
        steps : int
            Optimiser steps of the last stage.
        """
        return self

    @property
    def is_plain_lora(self) -> bool:
        """Whether all that a run trains is one LoRA, in one stage, which sees activations as they are."""
        return False

    @property
    def wants_trial(self) -> bool:
        """Whether it is to be tried on a model without numbers before anything is trained."""
        return False

    @property
    def virtual_tokens(self) -> int:
        """Tokens of a soft prompt before every input."""
        return 0

    @abstractmethod
    def attach(self, model: LanguageModel, tasks: Sequence[str] = ()) -> AbstractContextManager[Attached]:
        """Put fresh trainable parameters on the base; leaving the context restores it bit for bit.

        Fresh parameters are drawn from torch's global generator, which the caller seeds.

        Parameters
        ----------
        model : LanguageModel
            The base.
        tasks : sequence of str
            The tasks of the run, for methods that have parameters of each.
        """

    def stages(self, steps: int, training: TrainingConfig, tasks: Sequence[str] = ()) -> tuple[Stage, ...]:
        """Return the stages of a run, in order; by default one that trains every part.

        Parameters
        ----------
        steps : int
            Optimiser steps of the last stage (of each task, where tasks follow one another).
        training : TrainingConfig
            The recipe of the run; a method may have options that replace parts of it in an earlier stage.
        tasks : sequence of str
            The tasks of the run.
        """
        return (Stage(" and ".join(self.trains), steps, training, self.trains),)

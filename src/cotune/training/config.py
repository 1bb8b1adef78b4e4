"""How a model is trained: the recipe every method shares."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from cotune._config import Config
from cotune.training.balancing import BALANCING, Balancing, NoBalancing
from cotune.training.replay import ReplayConfig
from cotune.training.schemes import SCHEMES, RoundRobin, Scheme

_UNSAID = ("scheme", "task_weights", "balancing", "replay")
"""Fields that plain data leaves out at their defaults: the hashes of runs are older than they are."""


class TrainingConfig(Config):
    """The recipe of one training run; its number of steps comes with the run."""

    optimizer: Literal["adamw", "adafactor"] = "adamw"
    """Adafactor keeps its learning rate as given (no relative steps), with a decay rate of 0.8."""
    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate moves after the warmup."""
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the steps over which the learning rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay."""
    scale_parameter: bool = False
    """Whether Adafactor multiplies the learning rate by the size of each weight matrix, as T5 does; never for
    a soft prompt in a stage of its own."""
    clip: PositiveFloat | None = 1.0
    """Largest norm of the gradient; null for none."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each target token's probability that is spread evenly over the vocabulary."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Dropout of the base wherever its architecture has any (attention only in Llama and its kin), while
    training; null for the checkpoint's own. The dropout of a LoRA is an option of the LoRA."""
    batch_size: PositiveInt = 8
    """Examples a step."""
    tasks_per_batch: PositiveInt = 2
    """Tasks a step draws its examples from, each giving an equal part of the batch. Examples of one task
    share the encoding of its instruction. 1 gives batches of one task each; a sampling scheme draws each of
    the tasks independently, so that at ``batch_size`` every example has its own."""
    scheme: Annotated[Scheme, SCHEMES] = RoundRobin()
    """How tasks are chosen: {name: round_robin}, {name: uniform}, {name: proportional},
    {name: temperature, temperature: T} or {name: annealed, start: T, end: T, horizon: steps}; every scheme
    sees the same number of examples."""
    task_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Factors of the losses of tasks, by names or patterns such as ``"nli_*"``; the first that fits counts,
    without one it is 1. A task of weight 0 is met, counted and not learned."""
    balancing: Annotated[Balancing, BALANCING] = NoBalancing()
    """How the tasks of a step share it: {name: none}, {name: pcgrad} or {name: dwa}."""
    replay: ReplayConfig | None = None
    """{text: {source: files, path: ...}, ratio: 0.25, seq_len: 128}: plain text mixed in, as in pretraining,
    or {tasks: "*", ratio: 0.25} examples of the tasks that are only asked in context; null for none. A stage
    that trains only a soft prompt, which stands before inputs of tasks, has none."""
    pass_tokens: PositiveInt | None = None
    """About how many tokens one backward pass holds; larger batches are taken in parts, with the same result
    up to rounding. By default 384 on a CPU (for a small memory) and 16,384 on an accelerator."""
    max_loss: PositiveFloat | None = None
    """A step with a higher loss ends the run as exploded; by default four times that of guessing a token."""

    @model_validator(mode="after")
    def _batch_holds_its_tasks(self) -> TrainingConfig:
        if self.tasks_per_batch > self.batch_size:
            raise ValueError(
                f"tasks_per_batch must be at most batch_size {self.batch_size}, got {self.tasks_per_batch}."
            )
        if self.scale_parameter and self.optimizer != "adafactor":
            raise ValueError(f"scale_parameter is an option of adafactor, got optimizer {self.optimizer}.")
        return self

    def weight_of(self, task: str) -> float:
        """Return the factor of a task's losses."""
        fitting = (weight for name, weight in self.task_weights.items() if fnmatchcase(task, name))
        return next(fitting, 1.0)

    def content(self, base: Path) -> dict[str, Any]:
        """Return the recipe as plain JSON types, with a hash of the text replayed, to tell runs apart.

        Parameters
        ----------
        base : Path
            Folder that relative paths of the text start from.
        """
        plain = self.plain()
        text = None if self.replay is None else self.replay.fingerprint(base)
        return plain if text is None else {**plain, "text": text}

    @property
    def is_plain(self) -> bool:
        """Whether a step's gradient is that of its examples' mean loss per target token and nothing else."""
        is_weighted = self.task_weights or not isinstance(self.balancing, NoBalancing)
        return not is_weighted and self.replay is None

    @model_serializer(mode="wrap")
    def _without_the_unsaid(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        plain: dict[str, Any] = serialize(self)
        fields = type(self).model_fields
        same = {
            name
            for name in _UNSAID
            if getattr(self, name) == fields[name].get_default(call_default_factory=True)
        }
        return {name: value for name, value in plain.items() if name not in same}

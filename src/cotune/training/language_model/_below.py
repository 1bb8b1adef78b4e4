"""What lies below an adapter on the upper layers: computed once for all runs of a learner."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cotune.exceptions import InputError
from cotune.training.below import KeptStates, layers_below

if TYPE_CHECKING:
    from cotune.models import Encoded, LanguageModel
    from cotune.models.prefix import FrozenPrefix, Layout
    from cotune.training.language_model._settings import LanguageModelSettings
    from cotune.training.methods import Method


@dataclass(frozen=True, slots=True)
class Upper:
    """The layers that an adapter is on.

    Parameters
    ----------
    layers : tuple of int
        Their places; of an encoder-decoder model among those of the decoder.
    decoder : bool
        Whether the model has an encoder too, all of which is below.
    n_below, n_layers : int
        How many layers are below them, and how many there are.
    """

    layers: tuple[int, ...]
    decoder: bool
    n_below: int
    n_layers: int

    @classmethod
    def of(cls, skeleton: LanguageModel, adapt_from: float) -> Upper:
        """Find the layers from a place, or a share of all, up.

        Raises
        ------
        InputError
            If no layer would be left above or below, or some of an encoder would be above.
        """
        from cotune.models.layers import layer_lists

        sizes = [len(layers) for layers in layer_lists(skeleton.base)]
        total = sum(sizes)
        at = layers_below(adapt_from, total)
        if not 0 < at < total:
            raise InputError(
                f"learner.adapt_from: must leave layers below and above, of the model's {total}, got "
                f"{adapt_from:g}."
            )
        if len(sizes) == 1:
            return cls(tuple(range(at, total)), False, at, total)
        encoder, decoder = sizes
        if at < encoder:
            raise InputError(
                f"learner.adapt_from: must leave the whole encoder below, {encoder} of the model's {total} "
                f"layers, got {adapt_from:g}; give at least {encoder}."
            )
        return cls(tuple(range(at - encoder, decoder)), True, at, total)

    def put(self, method: Method) -> Method:
        """Return a method on these layers."""
        return method.above(self.layers, decoder=self.decoder)


class LowerLayers:
    """The states that cross the boundary below an adapter, of all examples that runs read again and again.

    Parameters
    ----------
    upper : Upper
        The layers above.
    skeleton : LanguageModel
        The model without numbers.
    tasks : sequence of str
        All tasks.
    examples : callable
        Gives by task what is kept: what likelihoods are asked of first, then what is trained on.
    config : LanguageModelSettings
        Which model it is, and how much may be kept.
    base : Path
        Folder that a relative model path starts from.
    """

    def __init__(
        self,
        upper: Upper,
        skeleton: LanguageModel,
        tasks: Sequence[str],
        examples: Callable[[], Sequence[Sequence[Sequence[Encoded]]]],
        config: LanguageModelSettings,
        base: Path,
    ) -> None:
        from cotune.models.boundary import Boundary

        self.upper, self._tasks, self._examples = upper, tasks, examples
        self._config, self._base = config, base
        half = config.resolved_precision(base) == "bf16"
        self._row_bytes = Boundary(skeleton, upper.n_below).width * (2 if half else 4)
        self._file: Path | None = None
        self._prefix: FrozenPrefix | None = None

    def check_dropout(self, skeleton: LanguageModel, rate: float | None) -> None:
        """Refuse dropout below the adapter.

        Raises
        ------
        InputError
            If the model drops out while it is trained.
        """
        from cotune.training._loop import drops_out

        if drops_out(skeleton.base, rate):
            raise InputError(
                "learner.adapt_from: the checkpoint has dropout of its own, so that the layers below the "
                "adapter would give something else at every step; set training.dropout to 0."
            )

    def file(self, task_fingerprint: Callable[[str], str]) -> str:
        """Return what the file is called: by a hash of all that the kept states depend on."""
        of_model = self._config.fingerprint(self._base)
        told = [of_model, self.upper.n_below, self._config.cache_bytes, self._config.method.demonstrations]
        tasks = {name: task_fingerprint(name) for name in self._tasks}
        digest = hashlib.sha256(json.dumps([*told, tasks], sort_keys=True).encode()).hexdigest()
        return f"states-{digest[:32]}.bin"

    def told(self, task_fingerprint: Callable[[str], str]) -> KeptStates:
        """Say what is kept, and where."""
        kept = self.layout.kept
        return KeptStates(
            self.file(task_fingerprint),
            self.upper.n_below,
            self.upper.n_layers,
            n_examples=len(kept),
            n_tokens=sum(map(len, kept)),
            n_bytes=self.n_bytes,
            n_left_out=self.layout.n_left_out,
        )

    @cached_property
    def layout(self) -> Layout:
        """Whose states are kept, and where; needs no model."""
        from cotune.models.prefix import Layout, opening_of

        layout = Layout(seq2seq=self.upper.decoder, most_rows=self._config.cache_bytes // self._row_bytes)
        tasks = self._examples()
        openings = [opening_of(example for part in parts for example in part) for parts in tasks]
        # All that is scored, whatever the task, before anything that is only trained on.
        for at in range(max(map(len, tasks), default=0)):
            for parts, opening in zip(tasks, openings, strict=True):
                layout.add(parts[at] if at < len(parts) else (), opening)
        return layout

    @property
    def n_bytes(self) -> int:
        """What the states take."""
        return self.layout.n_rows * self._row_bytes

    def prepare(self, path: Path, model: Callable[[], LanguageModel]) -> None:
        """Compute the states into a file, unless it is there; a damaged one is computed again.

        Parameters
        ----------
        path : Path
            The file.
        model : callable
            Loads the model; called where it is needed.
        """
        self._file = path
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            prefix = self._fresh(model())
            prefix.store(path)
            self._prefix = prefix

    def of(self, model: LanguageModel) -> FrozenPrefix:
        """Return what passes start from: states in the file of :meth:`prepare`, or in memory as asked for."""
        if self._prefix is None:
            prefix = self._fresh(model)
            if self._file is not None and not prefix.open(self._file):
                prefix.store(self._file)
            self._prefix = prefix
        return self._prefix

    def _fresh(self, model: LanguageModel) -> FrozenPrefix:
        from cotune.models.boundary import Boundary
        from cotune.models.prefix import FrozenPrefix

        prefix = FrozenPrefix(model, Boundary(model, self.upper.n_below), self.layout)
        prefix.check()
        return prefix

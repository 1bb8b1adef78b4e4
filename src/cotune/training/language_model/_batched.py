"""Many runs of LoRA in one pass over the base they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cotune.exceptions import RunError
from cotune.training.ensembles import passes
from cotune.training.language_model._runs import LanguageModelRuns, derive_seed, fit_of
from cotune.training.learner import Fit, Subset
from cotune.training.methods import Lora

if TYPE_CHECKING:
    from cotune.training._lora_stack import LowRank


_FEWEST, _MOST = 4, 16
"""LoRAs in a pass: fewer save next to nothing; of more, one that diverges costs too many others theirs."""


class BatchedRuns(LanguageModelRuns):
    """Adds the passes of :class:`cotune.training.learner.EnsembleLearner` to the runs."""

    @property
    def ensemble(self) -> int:
        """How many LoRAs one pass should hold: by default as many as fill it by their steps, at least 4.

        A step of few tokens pays mostly for reading the base's weights, which a pass does once for all; one
        that fills a pass alone gains nothing by company.
        """
        if not self._is_stackable:
            return 1
        if self.config.ensemble is not None:
            return self.config.ensemble
        from cotune.models.precision import default_device
        from cotune.training._objective import pass_tokens

        training = self.config.training
        lengths = [len(encoded) for task in self.tasks for encoded in self._data.encoded(task, "train")]
        room = pass_tokens(default_device(), training) / (training.batch_size * float(np.mean(lengths)))
        return min(_MOST, int(room)) if room >= _FEWEST else 1

    def fit_many(
        self, subsets: Sequence[Subset], seeds: Sequence[int], *, steps: Sequence[int], split: str
    ) -> list[Fit]:
        """Train many subsets, ``ensemble`` in a pass where that gives what separate runs give.

        It does for LoRA without dropout under AdamW; other methods and recipes are run one by one.

        Raises
        ------
        InputError
            If there is not a seed and a number of steps for every subset.
        RunError
            If a run diverges; names it. The others can be repeated without it.
        """
        done: dict[int, Fit] = {}
        for part in passes(len(subsets), len(seeds), steps, self.ensemble):
            runs = [(subsets[run], seeds[run]) for run in part]
            fits = self._one_pass(runs, steps[part[0]], split) if len(part) > 1 else None
            if fits is None:
                fits = [self.fit(subset, seed, steps=steps[part[0]], split=split) for subset, seed in runs]
            done.update(zip(part, fits, strict=True))
        return [done[run] for run in range(len(subsets))]

    def _one_pass(self, runs: Sequence[tuple[Subset, int]], steps: int, split: str) -> list[Fit] | None:
        """Train runs together and score them one after the other; None where they cannot be."""
        from cotune.training._loop import drops_out
        from cotune.training._lora_stack import LoraStack, adapter_of
        from cotune.training._side_by_side import train_side_by_side

        training = self.config.training
        if not self._is_stackable or drops_out(self.model.base, training.dropout):
            return None
        fresh = []
        for subset, seed in runs:
            adapter = self._fresh_adapter(subset, seed)
            if adapter is None:
                return None
            fresh.append(adapter)
        stack = LoraStack(fresh)
        streams = [
            self._data.batches(
                subset,
                training,
                derive_seed(seed, subset),
                prompt_ids=lambda task: (),
                context=self.model.context,
            )
            for subset, seed in runs
        ]
        names = [f"Training {' + '.join(subset)} with seed {seed}" for subset, seed in runs]
        logs = train_side_by_side(self.model, stack, streams, steps, training, names)
        fits = []
        for index, ((subset, seed), log) in enumerate(zip(runs, logs, strict=True)):
            with self._attached(subset, derive_seed(seed, subset)) as attached:
                stack.write(index, adapter_of(self.model.base) or {})
                try:
                    scores = self._scores(attached, subset, split)
                except RunError as error:
                    raise RunError(f"{names[index]}: {error}") from error
            fits.append(fit_of(scores, [log]))
        return fits

    def _fresh_adapter(self, subset: Subset, seed: int) -> dict[str, LowRank] | None:
        """Return what a run starts with; None where the LoRA is on other than linear maps."""
        from cotune.training._lora_stack import adapter_of

        with self._attached(subset, derive_seed(seed, subset)):
            adapter = adapter_of(self.model.base)
            # Taken off, the adapter's matrices are nobody else's.
            return adapter

    @property
    def _is_stackable(self) -> bool:
        method, training = self.config.method, self.config.training
        is_one = type(method) is Lora and method.dropout == 0
        return is_one and training.optimizer == "adamw" and training.is_plain

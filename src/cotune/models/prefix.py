"""What crosses the boundary of a frozen model, computed once for every example and read by all runs.

The states of examples that a study trains on and scores lie in one file, which all processes read. What
prompts of a task begin with, most often the instruction, lies there once, and so does a prompt that is asked
with several choices. Examples that are not there are computed when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cotune._seals import file_damage, sealed_file
from cotune.exceptions import InputError
from cotune.models._frozen import FrozenModel
from cotune.models._states import States, StatesFile, StatesInMemory
from cotune.models.batching import shared_prefix
from cotune.models.boundary import Boundary
from cotune.models.encoding import Encoded
from cotune.models.exactness import REFUSALS, tolerance

_SHARED = 8
"""Fewest tokens that prompts of a group begin with for them to lie there once."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An example's number among those kept, and first row and number of the states of each of its parts."""

    number: int
    opening: tuple[int, int]
    prompt: tuple[int, int]
    target: tuple[int, int]

    def rows(self) -> NDArray[np.intp]:
        parts = (self.opening, self.prompt, self.target)
        return np.concatenate([np.arange(first, first + n) for first, n in parts])


class Layout:
    """Which examples' states are kept, and in which row each lies; the same for the same examples.

    Parameters
    ----------
    seq2seq : bool
        Whether it is an encoder, which reads both ways: then prompts alone have states, and share none.
    most_rows : int
        No more are kept; of examples that there is no room for, those added first stay.
    """

    def __init__(self, *, seq2seq: bool, most_rows: int) -> None:
        self._seq2seq, self._most = seq2seq, most_rows
        self._openings: dict[tuple[int, ...], tuple[int, int]] = {}
        self._prompts: dict[tuple[int, ...], tuple[int, int]] = {}
        self._places: dict[tuple[tuple[int, ...], tuple[int, ...]], _Place] = {}
        self.n_rows = 0
        """Tokens whose states are kept."""
        self.kept: list[Encoded] = []
        """The examples they are of, each once."""
        self.n_left_out = 0
        """Examples there was no room for."""

    def add(self, examples: Iterable[Encoded], opening: tuple[int, ...] = ()) -> None:
        """Keep the states of examples as far as there is room.

        Parameters
        ----------
        examples : iterable of Encoded
            Those needed most come first.
        opening : tuple of int
            What the prompts of all of them begin with; see :func:`opening_of`.
        """
        opening = () if self._seq2seq else opening
        for example in examples:
            key = self._key(example)
            if key in self._places:
                continue
            sizes = len(opening), len(example.prompt) - len(opening), len(key[1])
            known = self._openings.get(opening), self._prompts.get(example.prompt), None
            fresh = sum(size for size, one in zip(sizes, known, strict=True) if one is None)
            if self.n_rows + fresh > self._most:
                self.n_left_out += 1
                continue
            first, second, third = (one or self._take(n) for one, n in zip(known, sizes, strict=True))
            self._openings[opening], self._prompts[example.prompt] = first, second
            self._places[key] = _Place(len(self.kept), first, second, third)
            self.kept.append(example)

    def _take(self, n: int) -> tuple[int, int]:
        self.n_rows += n
        return self.n_rows - n, n

    def _key(self, example: Encoded) -> tuple[tuple[int, ...], tuple[int, ...]]:
        # The last token of a target is predicted and predicts nothing.
        return example.prompt, () if self._seq2seq else example.target[:-1]

    def number(self, example: Encoded) -> int | None:
        """Return the place of an example among those kept; None where it is not."""
        found = self._places.get(self._key(example))
        return None if found is None else found.number

    def rows(self, example: Encoded) -> NDArray[np.intp] | None:
        """Return the row of each of an example's tokens in their order; None where they are not kept."""
        found = self._places.get(self._key(example))
        return None if found is None else found.rows()


def opening_of(examples: Iterable[Encoded]) -> tuple[int, ...]:
    """Return what the prompts of all examples begin with, where it is long enough to lie apart."""
    prompts = [example.prompt for example in examples]
    n = shared_prefix(prompts) if prompts else 0
    return prompts[0][:n] if n >= _SHARED else ()


class FrozenPrefix:
    """The lower part of a model for passes that start above it; see :class:`cotune.models.batching.Below`.

    Parameters
    ----------
    model : FrozenModel
        The model.
    boundary : Boundary
        Where it is parted.
    layout : Layout
        Whose states are kept.
    """

    def __init__(self, model: FrozenModel, boundary: Boundary, layout: Layout) -> None:
        self._model, self.boundary, self._layout = model, boundary, layout
        self._dtype = model.base.dtype
        self._kept: States | None = None
        self._done: set[int] = set()

    def check(self) -> None:
        """Try on two short examples whether passes from states give what passes from tokens give.

        Raises
        ------
        InputError
            If they do not: layers of the architecture pass more on than one state a token.
        """
        model = self._model
        drawn = torch.randint(0, model.vocabulary_size, (2, 12), generator=torch.Generator().manual_seed(0))
        examples = [Encoded(tuple(row[:8]), tuple(row[8:])) for row in drawn.tolist()]
        with torch.inference_mode(), model.autocast():
            with model.starting_above(None):
                plain = model.target_losses(model.base, model.batch(examples))
            try:
                with model.starting_above(self):
                    parted = model.target_losses(model.base, model.batch(examples))
            except REFUSALS:
                parted = plain.new_full(plain.shape, torch.nan)
        if not torch.allclose(plain, parted, rtol=tolerance(model), atol=tolerance(model)):
            raise InputError(
                f"learner.adapt_from: layers of the architecture {model.base.config.model_type!r} pass on "
                "more than one state a token, so that none can be left out; take adapt_from away."
            )

    def keep(self, examples: Iterable[Encoded] | None = None) -> int:
        """Compute states in memory, of all that are kept or of some; others wait until they are asked for.

        Returns the tokens of the passes that it took, those that examples of a row share counted once.
        """
        return self._compute_parts(self._layout.kept if examples is None else examples)

    @property
    def _states(self) -> States:
        """Where states are: in memory, unless they are in a file."""
        if self._kept is None:
            self._kept = StatesInMemory(self._shape, self._dtype)
        return self._kept

    def _compute_parts(self, examples: Iterable[Encoded]) -> int:
        """Compute the parts that examples are in, which are the same whoever asks first."""
        numbers = {self._layout.number(example) for example in examples}
        wanted = {self._part_of[number] for number in numbers if number is not None} - self._done
        n_tokens = 0
        for part in sorted(wanted):
            chosen = [self._layout.kept[number] for number in self._parts[part]]
            computed, n_held = self._compute(chosen)
            for example, states in zip(chosen, computed, strict=True):
                rows = self._layout.rows(example)
                assert rows is not None
                self._states.write(rows, states)
            n_tokens += n_held
        self._done |= wanted
        return n_tokens

    @cached_property
    def _parts(self) -> list[list[int]]:
        """Numbers of the examples that are computed in one pass."""
        return list(self._model.chunks(self._layout.kept, self._model.row_tokens))

    @cached_property
    def _part_of(self) -> dict[int, int]:
        return {number: at for at, part in enumerate(self._parts) for number in part}

    def store(self, path: Path) -> None:
        """Compute the states that are kept into a file, and read them from there.

        Its checksum is beside it, as that of every artefact is.
        """
        with sealed_file(path) as fresh:
            file = StatesFile(fresh, self._shape, self._dtype, writable=True)
            self._kept, self._done = file, set()
            try:
                self.keep()
            finally:
                file.close()
        self._kept = StatesFile(path, self._shape, self._dtype)

    def open(self, path: Path) -> bool:
        """Read states from a file; return whether it is what was stored, and else leave it."""
        rows, width = self._shape
        try:
            if path.stat().st_size != rows * width * self._dtype.itemsize or file_damage(path):
                return False
            self._kept = StatesFile(path, self._shape, self._dtype)
        except OSError:
            return False
        self._done = set(range(len(self._parts)))
        return True

    @property
    def _shape(self) -> tuple[int, int]:
        return self._layout.n_rows, self.boundary.width

    @property
    def n_held(self) -> int:
        """Tokens of the passes that compute all that is kept."""
        return sum(
            self._model.laid([self._layout.kept[number] for number in part]).owner.numel()
            for part in self._parts
        )

    def _compute(self, examples: Sequence[Encoded]) -> tuple[list[torch.Tensor], int]:
        """Compute in one pass the states of examples, each of shape (tokens, width), and count its tokens."""
        batch = self._model.laid(examples)
        states = self.boundary.states(batch.to(self._model.device).inputs).cpu()
        place = batch.inputs.get("position_ids")
        found = [states[0, :0]] * len(examples)
        for at, owner in enumerate(batch.owner.numpy()):
            for example in np.unique(owner[owner >= 0]):
                own = np.flatnonzero(owner == example)
                # What the examples of a row begin with stands before them all.
                n_before = 0 if place is None else int(place[at, own[0]])
                found[example] = states[at, np.concatenate([np.arange(n_before), own])]
        return found, batch.owner.numel()

    def states(self, examples: Sequence[Encoded], owner: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """Return the states of chosen tokens; see :meth:`cotune.models.batching.Below.states`."""
        used = sorted(set(np.unique(owner.numpy()).tolist()) - {-1})
        self._compute_parts(examples[index] for index in used)
        rows = {index: self._layout.rows(examples[index]) for index in used}
        first = np.zeros(len(examples) + 1, dtype=np.intp)  # the last is that of padding
        pool: list[torch.Tensor] = []
        n = 1
        for index, of_example in rows.items():
            if of_example is not None:
                first[index], n = n, n + len(of_example)
                pool.append(self._states.read(of_example))
        outside = [index for index in used if rows[index] is None]
        at = torch.from_numpy(first)[owner] + torch.where(owner < 0, 0, place)
        if outside:
            at[torch.isin(owner, torch.tensor(outside))] = 0
        kept = torch.cat([torch.zeros(1, self._shape[1], dtype=self._dtype), *pool])
        states = kept[at]
        for index, computed in zip(outside, self._in_passes([examples[i] for i in outside]), strict=True):
            own = owner == index
            states[own] = computed[place[own]]
        return states

    def _in_passes(self, examples: Sequence[Encoded]) -> list[torch.Tensor]:
        """Compute the states of examples, in as many passes as they take."""
        found: dict[int, torch.Tensor] = {}
        for indices in self._model.chunks(examples, self._model.batch_tokens) if examples else ():
            computed, _ = self._compute([examples[i] for i in indices])
            for index, states in zip(indices, computed, strict=True):
                found[index] = states.to(self._dtype)
        return [found[index] for index in range(len(examples))]

    def above(
        self, inputs: Mapping[str, Any], states: torch.Tensor
    ) -> AbstractContextManager[Mapping[str, Any]]:
        """Let passes start from states; see :meth:`Boundary.above`."""
        return self.boundary.above(inputs, states)

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import TypeAlias

import numpy as np

from cotune.exceptions import InputError
from cotune.models.encoding import Encoded, Encoder
from cotune.training.replay._config import ReplayConfig
from cotune.training.replay.sources import Document
from cotune.training.replay.span_corruption import corrupt_spans

Window: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Tokens that are only read, and tokens that are learned."""
_ORDER, _SPANS = 3, 4  # kinds of random streams under one seed, beside those of the batches of tasks


class TextWindows:
    """Text in windows of tokens, in shuffled passes over all of them.

    The window at a place of the sequence is determined by the seed and the place alone.

    Parameters
    ----------
    documents : iterable of Document
        The text.
    encoder : Encoder
        The model's tokenizer. A causal model learns every token of a window but the first; an
        encoder-decoder model the masked spans.
    config : ReplayConfig
        How the text is cut.

    Raises
    ------
    InputError
        If the text has fewer than two tokens, or the tokenizer of an encoder-decoder model no sentinels.
    """

    def __init__(self, documents: Iterable[Document], encoder: Encoder, config: ReplayConfig) -> None:
        self._encoder, self._config = encoder, config
        tokenised = ((self._tokens(document.context), self._closed(document.text)) for document in documents)
        cut = self._packed if config.pack else self._one_by_one
        self.windows = [window for window in cut(tokenised) if len(window[0]) + len(window[1]) > 1]
        if not self.windows:
            raise InputError("The text to replay has fewer than two tokens; give more of it.")
        if encoder.seq2seq:
            self._corrupted(0, 0)  # what does not fit is known at once

    @property
    def mean_tokens(self) -> float:
        """Mean number of tokens of a window."""
        return sum(len(context) + len(text) for context, text in self.windows) / len(self.windows)

    def since(self, place: int, seed: int) -> Iterator[Encoded]:
        """Iterate over the windows from a place of the endless sequence on, under a seed."""
        epoch, done = divmod(place, len(self.windows))
        while True:
            order = np.random.default_rng((seed, _ORDER, epoch)).permutation(len(self.windows))
            for at in range(done, len(order)):
                yield self._encoded(int(order[at]), (seed, _SPANS, epoch * len(order) + at))
            epoch, done = epoch + 1, 0

    def _encoded(self, index: int, seed: Sequence[int]) -> Encoded:
        if self._encoder.seq2seq:
            return self._corrupted(index, seed)
        context, text = self.windows[index]
        if not context:
            context, text = text[:1], text[1:]
        return Encoded(context, text)

    def _corrupted(self, index: int, seed: int | Sequence[int]) -> Encoded:
        context, text = self.windows[index]
        inputs, targets = corrupt_spans(
            context + text,
            self._sentinels,
            seed=seed,
            noise_density=self._config.noise_density,
            mean_span=self._config.mean_span,
        )
        return Encoded((*inputs, self._end), (*targets, self._end))

    def _packed(self, documents: Iterable[Window]) -> Iterator[Window]:
        """Cut the documents, one after another, into windows of equal length; a shorter rest is left out."""
        length = self._config.seq_len
        tokens = list(chain.from_iterable(chain(context, text) for context, text in documents))
        n_windows = max(len(tokens) // length, 1)
        for start in range(0, n_windows * length, length):
            yield (), tuple(tokens[start : start + length])

    def _one_by_one(self, documents: Iterable[Window]) -> Iterator[Window]:
        length = self._config.seq_len
        for context, text in documents:
            learned = text[:length]
            # Of a context too long the beginning goes: what stands next to the text tells most of it.
            yield context[max(len(context) + len(learned) - length, 0) :], learned

    def _closed(self, text: str) -> tuple[int, ...]:
        tokens = self._tokens(text)
        return tokens if tokens[-1:] == (self._end,) else (*tokens, self._end)

    def _tokens(self, text: str) -> tuple[int, ...]:
        return self._encoder.tokens(text)

    @property
    def _end(self) -> int:
        return int(self._encoder.tokenizer.eos_token_id)

    @cached_property
    def _sentinels(self) -> list[int]:
        """Return the tokens <extra_id_0>, <extra_id_1> and so on, as many as there are."""
        vocabulary = self._encoder.tokenizer.get_vocab()
        found: list[int] = []
        while (name := f"<extra_id_{len(found)}>") in vocabulary:
            found.append(int(vocabulary[name]))
        if not found:
            raise InputError(
                "The model's tokenizer has no sentinel tokens <extra_id_0>, <extra_id_1> ..., which an "
                "encoder-decoder model needs to have text replayed."
            )
        return found

"""Span corruption, the pretraining task of T5 (Raffel et al. 2020, section 3.1.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cotune.exceptions import InputError


def corrupt_spans(
    tokens: Sequence[int],
    sentinels: Sequence[int],
    *,
    seed: int | Sequence[int],
    noise_density: float = 0.15,
    mean_span: float = 3.0,
) -> tuple[list[int], list[int]]:
    """Replace random spans by sentinels, and list what stood there.

    Of n tokens round(n * noise_density) are masked, in round(of them / mean_span) spans; the lengths of the
    spans and of what lies between are random partitions, as in T5's code. There the last span is always the
    end of the text; here a text may begin and end with either, since short windows have but one span. The
    targets end with one sentinel more, as in the paper's Figure 2.

    Parameters
    ----------
    tokens : sequence of int
        At least two.
    sentinels : sequence of int
        Tokens that stand for spans, in their order; one more than spans.
    seed : int or sequence of int
        Decides the spans.
    noise_density : float
        Share of the tokens that is masked.
    mean_span : float
        Mean length of a masked span.

    Returns
    -------
    inputs, targets : list of int
        :func:`restore_spans` makes the tokens of them again.

    Raises
    ------
    InputError
        If there are fewer than two tokens, or too few sentinels.
    """
    n = len(tokens)
    if n < 2:
        raise InputError(f"Span corruption needs at least two tokens, got {n}.")
    n_noise = min(max(round(n * noise_density), 1), n - 1)
    n_spans = min(max(round(n_noise / mean_span), 1), n - n_noise)
    if n_spans >= len(sentinels):
        raise InputError(
            f"Span corruption of {n} tokens makes {n_spans} spans and needs {n_spans + 1} sentinel tokens, "
            f"but the tokenizer has {len(sentinels)}; lower seq_len."
        )
    generator = np.random.default_rng(seed)
    masked = _partition(n_noise, n_spans, generator)
    kept = _partition(n - n_noise + 2, n_spans + 1, generator)
    kept[0] -= 1  # what is kept at both ends may be nothing
    inputs, targets, at = [], [], 0
    for sentinel, n_kept, n_masked in zip(sentinels, kept, masked, strict=False):
        inputs += [*tokens[at : at + n_kept], sentinel]
        targets += [sentinel, *tokens[at + n_kept : at + n_kept + n_masked]]
        at += n_kept + n_masked
    return [*inputs, *tokens[at:]], [*targets, sentinels[n_spans]]


def restore_spans(inputs: Sequence[int], targets: Sequence[int], sentinels: Sequence[int]) -> list[int]:
    """Put the spans of the targets in the places of their sentinels; undoes :func:`corrupt_spans`.

    The text itself must hold no sentinel.
    """
    known = set(sentinels)
    spans: dict[int, list[int]] = {}
    span: list[int] = []
    for token in targets:
        if token in known:
            span = spans.setdefault(token, [])
        else:
            span.append(token)
    return [token for one in inputs for token in (spans[one] if one in known else [one])]


def _partition(total: int, parts: int, generator: np.random.Generator) -> list[int]:
    """Divide a number into parts of at least 1, every way equally likely."""
    cuts = np.sort(generator.choice(total - 1, parts - 1, replace=False)) + 1
    return [int(length) for length in np.diff([0, *cuts, total])]

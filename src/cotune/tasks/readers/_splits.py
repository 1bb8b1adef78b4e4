"""Splitting: from a source's own splits to disjoint train, validation and test examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from cotune.exceptions import InputError
from cotune.tasks._task import SPLITS, Example

Order: TypeAlias = Callable[..., str]
Splits: TypeAlias = dict[str, list[Example]]


def split_examples(
    source: Mapping[str, Sequence[Example]],
    *,
    task: str,
    seed: int,
    fractions: Mapping[str, float],
    caps: Mapping[str, int | None],
    together: Mapping[str, str] | None = None,
) -> tuple[dict[str, tuple[Example, ...]], dict[str, int], tuple[str, ...]]:
    """Make three splits no two of which share an input.

    Examples are dealt out and cut in the order of hashes of their text, the task's name and the seed, which
    depends neither on the order of the rows nor on the other tasks read.

    Parameters
    ----------
    source : mapping of str to sequence of Example
        The splits that the source has. A single one, whatever its name, is divided by ``fractions``; a
        validation split without test is halved; where only validation is missing it is taken from train.
    task : str
        The task's name.
    seed : int
        Decides the order.
    fractions : mapping of str to float
        Shares of the three splits, which sum to 1.
    caps : mapping of str to int or None
        The most examples a split keeps.
    together : mapping of str to str, optional
        What an input belongs to that is not divided; by default itself.

    Returns
    -------
    splits : dict of str to tuple of Example
        The examples under each of :data:`SPLITS`, at least one each.
    left_out : dict of str to int
        How many more each would have without its cap.
    notes : tuple of str
        One sentence for everything dropped, divided or cut.

    Raises
    ------
    InputError
        If there are too few examples for three splits.
    """
    notes: list[str] = []
    order = _order(seed, task)
    splits = _distinct(source, notes)
    splits = _three_splits(splits, task, fractions, order, notes, together or {})
    capped = {
        name: tuple(sorted(splits[name], key=lambda e: order(e.input, *e.targets))[: caps[name]])
        for name in SPLITS
    }
    left_out = {name: len(splits[name]) - len(capped[name]) for name in SPLITS}
    cut = [name for name in SPLITS if left_out[name]]
    if cut:
        notes.append(
            f"{'' if cut == list(SPLITS) else ' / '.join(cut) + ' '}capped at "
            f"{' / '.join(str(len(capped[name])) for name in cut)} examples "
            f"(of {' / '.join(str(len(splits[name])) for name in cut)})"
        )
    return capped, left_out, tuple(notes)


def _order(seed: int, task: str) -> Order:
    def key(*text: str) -> str:
        return hashlib.sha256(json.dumps([seed, task, *text]).encode()).hexdigest()

    return key


def _distinct(source: Mapping[str, Sequence[Example]], notes: list[str]) -> Splits:
    """Drop repeated examples, and those whose input is held out in another split: the latter keeps them."""
    held_out: set[str] = set()
    distinct: Splits = {}
    for split in reversed([split for split in SPLITS if split in source]):
        examples = source[split]
        kind = f"{split} examples" if len(source) > 1 else "examples"
        fresh = [example for example in examples if example.input not in held_out]
        kept = list({(example.input, example.targets): example for example in fresh}.values())
        if leaked := len(examples) - len(fresh):
            notes.append(f"{leaked} of {len(examples)} {kind} dropped, whose input a held-out split has")
        if repeated := len(fresh) - len(kept):
            notes.append(f"{repeated} of {len(examples)} {kind} dropped as repetitions")
        distinct[split] = kept
        held_out.update(example.input for example in kept)
    return distinct


def _three_splits(
    splits: Splits,
    task: str,
    fractions: Mapping[str, float],
    order: Order,
    notes: list[str],
    together: Mapping[str, str],
) -> Splits:
    if len(splits) == 1:
        (examples,) = splits.values()
        return _divide(examples, {split: fractions[split] for split in SPLITS}, task, order, together)
    have = [split for split in SPLITS if splits.get(split)]
    if "train" not in have:
        raise InputError(
            f"The task '{task}' has usable examples in {' and '.join(have)} only; it needs some in train, "
            "with inputs of their own."
        )
    if have == ["train", "validation"]:
        notes.append("validation was split in half, since the source has no test examples")
        halves = _divide(splits["validation"], {"validation": 0.5, "test": 0.5}, task, order, together)
        return {"train": splits["train"], **halves}
    if have == ["train", "test"]:
        notes.append(
            "validation was taken from train, since the source has no validation examples of its own"
        )
        shares = {split: fractions[split] for split in ("train", "validation")}
        return {**_divide(splits["train"], shares, task, order, together), "test": splits["test"]}
    return splits


def _divide(
    examples: Sequence[Example],
    shares: Mapping[str, float],
    task: str,
    order: Order,
    together: Mapping[str, str],
) -> Splits:
    """Deal out distinct inputs by shares, at least one each; examples of one input stay together."""
    whole = {example.input: together.get(example.input, example.input) for example in examples}
    inputs = sorted(set(whole.values()), key=order)
    if len(inputs) < len(shares):
        raise InputError(
            f"The task '{task}' needs at least {len(shares)} examples with different inputs to divide into "
            f"{_listed(shares)}, got {len(inputs)} instead."
        )
    total = sum(shares.values())
    counts = {split: max(1, round(len(inputs) * share / total)) for split, share in shares.items()}
    largest = max(counts, key=lambda split: counts[split])
    counts[largest] += len(inputs) - sum(counts.values())
    split_of = dict(zip(inputs, (split for split in shares for _ in range(counts[split])), strict=True))
    divided: Splits = {split: [] for split in shares}
    for example in examples:
        divided[split_of[whole[example.input]]].append(example)
    return divided


def _listed(names: Iterable[str]) -> str:
    *head, last = names
    return f"{', '.join(head)} and {last}"

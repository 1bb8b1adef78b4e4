"""How many tokens a model goes through: what examples share counts once, and padding counts too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from cotune.models._language_model import LanguageModel
from cotune.models.batching import shared_prefix
from cotune.models.encoding import Encoded


def held_tokens(model: LanguageModel, examples: Sequence[Encoded], pass_tokens: int) -> int:
    """Count the tokens of the passes that a training step makes over its examples.

    Parameters
    ----------
    model : LanguageModel
        Says which examples share a row.
    examples : sequence of Encoded
        In the order of the step.
    pass_tokens : int
        About how many tokens a pass holds.
    """
    batches = (model.batch([examples[i] for i in chunk]) for chunk in model.chunks(examples, pass_tokens))
    return sum(
        tensor.numel()
        for batch in batches
        for name, tensor in batch.inputs.items()
        if name.endswith("input_ids")
    )


def read_tokens(model: LanguageModel, examples: Sequence[Encoded], *, by_length: bool = False) -> int:
    """Count, about, the tokens that :meth:`LanguageModel.nll` reads.

    With ``by_length`` those of the prompts alone, as :meth:`LanguageModel.generate` reads them.
    """
    if not examples:
        return 0
    if model.reads_rows:
        prompts = [example.prompt for example in examples]
        prefix = shared_prefix(prompts)
        common = (max(prefix, shared_prefix(pair)) for pair in pairwise(prompts))
        total = sum(len(e.prompt) if by_length else len(e) - 1 for e in examples)
        return total - sum(common)
    sizes = [len(e.prompt) if by_length else len(e) for e in examples]
    chunks = model.chunks(examples, model.batch_tokens, by_length=by_length)
    return sum(len(chunk) * max(sizes[i] for i in chunk) for chunk in chunks)


def written_passes(model: LanguageModel, prompts: Sequence[Encoded]) -> int:
    """Count, about, the passes that write answers as long as the targets, a token of several prompts each."""
    if not prompts:
        return 0
    lengths = [len(prompt.target) for prompt in prompts]
    if model.reads_rows:
        # An answer that ends makes room for the next at once.
        columns = read_tokens(model, prompts)
        return max(*lengths, math.ceil(sum(lengths) * columns / len(prompts) / model.batch_tokens), 1)
    chunks = model.chunks(prompts, model.batch_tokens, by_length=True)
    return sum(max(lengths[i] for i in chunk) for chunk in chunks)

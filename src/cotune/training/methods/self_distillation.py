"""Self-distillation: the model goes on learning what it answered to other prompts before it was tuned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cotune.training.methods._method import Attached, Terms
from cotune.training.methods._weights import OthersMethod

if TYPE_CHECKING:
    from cotune.models import Encoded, LanguageModel


class SelfDistillation(OthersMethod):
    """What stands beside the targets is learned with the base's own greedy answers as targets.

    An answer is as long as the right one at most, which is not looked at otherwise. Of a window of plain text
    that nothing stands before, the first half is the prompt.

    The idea is of arXiv 2601.19897 (self-distillation for continual learning), and simplified: there the
    student writes the answers, again and again as it changes, and learns from what the same model predicts of
    them when it is shown demonstrations (the reverse divergence, on the student's own text). Here the base
    writes them once, and they are learned as any target is.
    """

    def around(self, model: LanguageModel, attached: Attached) -> Attached:
        """Return what is trained with the base's answers in the place of what is replayed."""
        written: dict[tuple[int, ...], tuple[int, ...]] = {}

        def answers(examples: Sequence[Encoded]) -> list[Encoded]:
            asked = [example if model.seq2seq else _halved(example) for example in examples]
            new = [one for one in asked if one.prompt not in written]
            if new:
                assert attached.as_base is not None, "full and lora know the base"
                longest = max(len(one.target) for one in new)
                with attached.as_base():
                    found = model.write(attached.module, new, max_new_tokens=longest)
                for one, tokens in zip(new, found, strict=True):
                    written[one.prompt] = tuple(tokens[: len(one.target)])
            return [replace(one, target=written[one.prompt]) for one in asked]

        return replace(attached, terms=Terms(answers=answers))


def _halved(example: Encoded) -> Encoded:
    """Let a text that nothing stands before go on from its middle."""
    if len(example.prompt) > 1:
        return example
    tokens = (*example.prompt, *example.target)
    middle = max(len(tokens) // 2, 1)
    return replace(example, prompt=tokens[:middle], target=tokens[middle:])

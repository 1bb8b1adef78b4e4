"""The toy language as plain text: what the shipped checkpoint was pretrained on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from cotune.lab.toy_language._reader import balanced, examples_of, inputs_by_split
from cotune.lab.toy_language._tasks import PRETRAINED, TOY_TASKS
from cotune.lab.toy_language._tokenizer import END
from cotune.tasks import Example, format_target
from cotune.training.replay import Document, TextSource


class ToyLanguageText(TextSource):
    """Lines of examples of one pretraining task, all but the last with their answers, then the last answer.

    What was pretrained is the answers, each after the lines before it. Not packed (``pack: false``), the
    lines are read and the last answer is learned; packed, every token is learned, the inputs too, which
    nobody can foretell.
    """

    n_documents: PositiveInt = 4096
    """How many; the pretraining tasks take turns."""
    max_lines: PositiveInt = 5
    """A document has 1 to so many lines, every number equally often; 5 were pretrained."""
    seed: NonNegativeInt = 0
    """Decides the examples, which are those of the training split."""

    def documents(self, base: Path) -> Iterator[Document]:
        """Draw the documents."""
        inputs = inputs_by_split()["train"]
        examples = [balanced(examples_of(TOY_TASKS[name], inputs)) for name in PRETRAINED]
        generator = np.random.default_rng(self.seed)
        for number in range(self.n_documents):
            round_of_tasks, task = divmod(number, len(examples))
            n_lines = 1 + round_of_tasks % self.max_lines
            drawn = generator.integers(len(examples[task]), size=n_lines)
            *shown, last = (examples[task][index] for index in drawn)
            lines = "".join(f"{one.input}{_answer(one)}" for one in shown)
            yield Document(_answer(last), lines + last.input)


def _answer(example: Example) -> str:
    return format_target(example.targets[0]) + END

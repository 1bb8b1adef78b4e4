"""Proposals: the model goes on from solved examples, or varies an instruction."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from cotune.models import Encoded, LanguageModel, Sampling
from cotune.tasks import Example

PHRASINGS = (
    "I gave a friend an instruction and {n} inputs. The friend read the instruction and wrote an output for "
    "every one of the inputs. Here are the input-output pairs:\n\n{pairs}\n\nThe instruction was:",
    "Here are solved exercises from a worksheet.\n\n{pairs}\n\nThe instruction at the top of the worksheet "
    "tells students what to do with each input:",
    "{pairs}\n\nIn one sentence, the instruction that leads from each input to its output is:",
)
"""Ways to show solved examples; the first is that of automatic prompt engineering."""

VARY = (
    "Generate a variation of the following instruction while keeping the semantic meaning.\n\n"
    "Input: {instruction}\nOutput:"
)
"""Asks for a variation, as automatic prompt engineering does when it resamples."""

_LEAST_WORDS, _MOST_WORDS = 4, 40
_OPENING = re.compile(r"^(?:[-*•\d.):\s]+|(?:instruction|output|answer|input)\s*:\s*)+", re.IGNORECASE)


def from_examples(
    model: LanguageModel,
    examples: Sequence[Example],
    *,
    count: int,
    demonstrations: int,
    sampling: Sampling,
    max_new_tokens: int,
) -> list[str]:
    """Draw proposals, each from other demonstrations, in turn by every phrasing; cleaned, without repeats.

    Parameters
    ----------
    model : LanguageModel
        Writes.
    examples : sequence of Example
        To draw demonstrations from.
    count : int
        Texts drawn.
    demonstrations : int
        Examples shown for each.
    sampling : Sampling
        How tokens are drawn; its seed decides the demonstrations too.
    max_new_tokens : int
        Length at which a text that has not ended is dropped.
    """
    rng = np.random.default_rng((sampling.seed, count))
    shown = min(demonstrations, len(examples))
    prompts = []
    for number in range(count):
        drawn = [examples[at] for at in rng.permutation(len(examples))[:shown]]
        pairs = "\n\n".join(f"Input: {e.input}\nOutput: {e.targets[0]}" for e in drawn)
        prompts.append(PHRASINGS[number % len(PHRASINGS)].format(n=shown, pairs=pairs))
    return _written(model, prompts, sampling, max_new_tokens)


def variations(
    model: LanguageModel,
    instructions: Sequence[str],
    *,
    count: int,
    sampling: Sampling,
    max_new_tokens: int,
) -> list[str]:
    """Draw variations of instructions, in turn of each; see :func:`from_examples`."""
    if not instructions:
        return []
    prompts = [VARY.format(instruction=instructions[number % len(instructions)]) for number in range(count)]
    return _written(model, prompts, sampling, max_new_tokens)


def cleaned(texts: Iterable[str]) -> list[str]:
    """Return what of generated texts can be an instruction: its first line, bare of quotes and bullets.

    What is too short, too long, broken off, or solves an exercise in place of setting it is left out, as is
    what was there before.
    """
    found: dict[str, None] = {}
    for text in texts:
        line = text.strip().partition("\n")[0]
        line = _OPENING.sub("", line).strip(" \t\"'“”`*")
        words = line.split()
        if not _LEAST_WORDS <= len(words) <= _MOST_WORDS or line[-1] not in ".?!:":
            continue
        if re.search(r"\b(?:input|output) *:", line, re.IGNORECASE):
            continue
        found.setdefault(line[0].upper() + line[1:])
    return list(found)


def _written(
    model: LanguageModel, prompts: Sequence[str], sampling: Sampling, max_new_tokens: int
) -> list[str]:
    encoded = [_encoded(model, prompt) for prompt in prompts]
    texts = model.generate(
        model.base, encoded, max_new_tokens=max_new_tokens, stops=("\n",), sampling=sampling
    )
    return cleaned(texts)


def _encoded(model: LanguageModel, prompt: str) -> Encoded:
    encoded = model.encoder.encode(lambda text: text, prompt)
    assert encoded is not None, "there is no target to be too long"
    return encoded

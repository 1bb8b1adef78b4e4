"""A hundred instructions for each of five data sets, from a small grammar of paraphrases.

The multi-instruction cases of AdaGroup (Table 1) take one data set and a hundred instructions, each a task.
The paper's instructions are PromptSource's and a language model's; these are written for this project. An
instruction combines a layout of the input, a way of asking and a closing remark: 4 x 5 x 5 = 100.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class InstructedDataset:
    """A data set with its grammar of instructions.

    Parameters
    ----------
    name : str
        Of the case.
    options : mapping
        Options of :class:`~cotune.tasks.readers.HuggingFaceReader` but for the template.
    layouts : tuple of str
        Jinja templates of the input with ``<ask>`` and ``<close>`` in them.
    asks, closes : tuple of str
        What may stand there.
    target : str
        Jinja template of the answer.
    """

    name: str
    options: Mapping[str, Any] = field(repr=False)
    layouts: tuple[str, ...] = field(repr=False)
    asks: tuple[str, ...] = field(repr=False)
    closes: tuple[str, ...] = field(repr=False)
    target: str = field(repr=False)

    @property
    def templates(self) -> tuple[str, ...]:
        """The instructions, as templates of input and target parted by "|||"."""
        return tuple(
            f"{layout.replace('<ask>', ask).replace('<close>', close)} ||| {self.target}"
            for layout, ask, close in product(self.layouts, self.asks, self.closes)
        )

    @property
    def entries(self) -> list[dict[str, Any]]:
        """What a study file lists under ``tasks``: one reader for each instruction."""
        return [
            {
                "reader": "huggingface",
                "name": f"{self.name}-{number:03}",
                **self.options,
                "template": template,
            }
            for number, template in enumerate(self.templates, start=1)
        ]


_DEV = {"train": "train", "test": "validation"}

_RTE = InstructedDataset(
    name="rte",
    options={"path": "aps/super_glue", "config": "rte", "split": _DEV, "labels": ["yes", "no"]},
    layouts=(
        "{{ premise }}\n<ask> {{ hypothesis }}\n<close>",
        "Text: {{ premise }}\nStatement: {{ hypothesis }}\n<ask> the statement. <close>",
        "<ask> the second sentence from the first. <close>\n1. {{ premise }}\n2. {{ hypothesis }}",
        'Someone wrote: "{{ premise }}"\n<ask> this: "{{ hypothesis }}" <close>',
    ),
    asks=(
        "Tell whether one may conclude",
        "Say if the text supports",
        "Decide if it is safe to infer",
        "Judge whether a careful reader would accept",
        "Check if what is given entails",
    ),
    closes=(
        "Answer yes or no.",
        "Write yes if so, otherwise no.",
        "Reply with a single word, yes or no.",
        "If nothing in the text settles it, the answer is no.",
        "Do not use any knowledge beyond the text.",
    ),
    target="{{ label }}",
)

_WIC = InstructedDataset(
    name="wic",
    options={"path": "aps/super_glue", "config": "wic", "split": _DEV, "labels": ["no", "yes"]},
    layouts=(
        '<ask> the word "{{ word }}" in these sentences. <close>\n{{ sentence1 }}\n{{ sentence2 }}',
        "A: {{ sentence1 }}\nB: {{ sentence2 }}\n<ask> {{ word }} in A and B. <close>",
        "{{ sentence1 }}\n{{ sentence2 }}\n<ask> {{ word }} both times. <close>",
        "Word: {{ word }}\nFirst use: {{ sentence1 }}\nSecond use: {{ sentence2 }}\n<ask> it. <close>",
    ),
    asks=(
        "Compare the sense of",
        "Tell whether the same meaning is intended for",
        "Say if a dictionary would have one entry for",
        "Decide whether one definition fits",
        "Check if nothing changes in what is meant by",
    ),
    closes=(
        "Answer yes or no.",
        "Yes means the same sense.",
        "Reply with one word: yes, or no if the senses differ.",
        "Mind figures of speech.",
        "Only the meaning counts, not the grammar.",
    ),
    target="{{ label }}",
)

_BOOLQ = InstructedDataset(
    name="boolq",
    options={"path": "aps/super_glue", "config": "boolq", "split": _DEV, "labels": ["no", "yes"]},
    layouts=(
        "{{ passage }}\n<ask> {{ question }}? <close>",
        "Question: {{ question }}?\n<ask> the passage. <close>\nPassage: {{ passage }}",
        "<ask> what you read here. <close>\n{{ passage }}\n\n{{ question }}?",
        "Passage: {{ passage }}\nA reader wonders: {{ question }}?\n<ask> the passage alone. <close>",
    ),
    asks=(
        "Answer from",
        "Find out with the help of",
        "Settle the matter by",
        "Look for the answer in",
        "Reply on the grounds of",
    ),
    closes=(
        "Yes or no?",
        "Write only yes or no.",
        "One word is enough, yes or no.",
        "If the text denies it, write no.",
        "Take the text at its word.",
    ),
    target="{{ label }}",
)

_E2E = InstructedDataset(
    name="e2e_nlg_cleaned",
    options={"path": "e2e_nlg_cleaned", "revision": "refs/convert/parquet"},
    layouts=(
        "{{ meaning_representation }}\n<ask> these facts. <close>",
        "<ask> the attributes below. <close>\nAttributes: {{ meaning_representation }}",
        "Restaurant data: {{ meaning_representation }}\n<ask> the data. <close>",
        'A guide stores "{{ meaning_representation }}". <ask> that entry. <close>',
    ),
    asks=(
        "Describe the restaurant by",
        "Write a recommendation out of",
        "Put into fluent English",
        "Tell a visitor about the place, using",
        "Turn into running text",
    ),
    closes=(
        "Leave nothing out.",
        "Use one or two sentences.",
        "Every value has to be mentioned.",
        "Add nothing that is not given.",
        "Sound natural.",
    ),
    target="{{ human_reference }}",
)

_WEB_NLG = InstructedDataset(
    name="web_nlg_en",
    options={"path": "GEM/web_nlg", "config": "en", "revision": "refs/convert/parquet"},
    layouts=(
        '{{ input | join("; ") }}\n<ask> these triples. <close>',
        '<ask> the facts that follow. <close>\n{{ input | join("\\n") }}',
        'Triples (subject | relation | object): {{ input | join(", ") }}\n<ask> all of them. <close>',
        'A knowledge base holds: {{ input | join(" and ") }}.\n<ask> what it holds. <close>',
    ),
    asks=(
        "Verbalise",
        "Write a short text that says the same as",
        "Express in plain English",
        "Compose sentences from",
        "Explain to a layperson",
    ),
    closes=(
        "Keep every fact.",
        "Be brief.",
        "Invent nothing.",
        "Join the facts smoothly.",
        "Spell names as they are given.",
    ),
    target="{{ target }}",
)

INSTRUCTED: Mapping[str, InstructedDataset] = MappingProxyType(
    {dataset.name: dataset for dataset in (_RTE, _WIC, _BOOLQ, _E2E, _WEB_NLG)}
)
"""The five data sets of the multi-instruction cases."""

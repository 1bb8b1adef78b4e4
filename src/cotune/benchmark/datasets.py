"""The 19 data sets of the 57 multitask cases (Tables 1 and 4 of AdaGroup), by their names on the hub.

The data sets and their families are the paper's; it gives neither hub names nor templates, which are ours.
Data sets that are published as a loading script are read from the hub's conversion of them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cotune.tasks.readers import HuggingFaceReader

_CONVERTED = "refs/convert/parquet"
_NO_YES = ["no", "yes"]
_DEV = {"train": "train", "test": "validation"}
"""Of data sets whose test answers are secret; what is chosen by validation is chosen on part of train."""


@dataclass(frozen=True)
class Dataset:
    """A data set as a task.

    Parameters
    ----------
    name : str
        Of the task.
    options : mapping
        Options of :class:`~cotune.tasks.readers.HuggingFaceReader`.
    """

    name: str
    options: Mapping[str, Any] = field(repr=False)

    @property
    def entry(self) -> dict[str, Any]:
        """What a study file lists under ``tasks``."""
        return copy.deepcopy({"reader": "huggingface", "name": self.name, **self.options})

    @property
    def reader(self) -> HuggingFaceReader:
        """The reader, checked; it downloads nothing before it reads."""
        return HuggingFaceReader(name=self.name, **self.options)


def _dataset(name: str, path: str, template: str, config: str | None = None, **options: Any) -> Dataset:
    optional = {"config": config} if config else {}
    return Dataset(name, {"path": path, **optional, "template": template, **options})


_GLUE, _SUPER_GLUE = "nyu-mll/glue", "aps/super_glue"
_SENTIMENT = "{{ %s }}\nIs this review negative or positive? ||| {{ label }}"
_ENTAILMENT = "{{ %s }}\nDoes this follow: {{ %s }} ||| {{ label }}"
_SUMMARY = "{{ %s }}\nSummary: ||| {{ summary }}"

FAMILIES: Mapping[str, tuple[Dataset, ...]] = MappingProxyType(
    {
        "sentiment": (
            _dataset(
                "sst2", _GLUE, _SENTIMENT % "sentence", "sst2", split=_DEV, labels=["negative", "positive"]
            ),
            _dataset("imdb", "stanfordnlp/imdb", _SENTIMENT % "text", labels=["negative", "positive"]),
            _dataset(
                "yelp",
                "Yelp/yelp_review_full",
                "{{ text }}\nHow many stars does this review give? ||| {{ label }}",
                labels=["1", "2", "3", "4", "5"],
            ),
        ),
        "inference": (
            _dataset(
                "mnli",
                _GLUE,
                _ENTAILMENT % ("premise", "hypothesis"),
                "mnli",
                labels=["yes", "maybe", "no"],
                split={"train": "train", "test": "validation_matched"},
            ),
            _dataset(
                "rte",
                _GLUE,
                _ENTAILMENT % ("sentence1", "sentence2"),
                "rte",
                split=_DEV,
                labels=["yes", "no"],
            ),
            _dataset(
                "wnli", _GLUE, _ENTAILMENT % ("sentence1", "sentence2"), "wnli", split=_DEV, labels=_NO_YES
            ),
        ),
        "multiple choice": (
            _dataset(
                "boolq",
                _SUPER_GLUE,
                "{{ passage }}\nQuestion: {{ question }}? Yes or no? ||| {{ label }}",
                "boolq",
                split=_DEV,
                labels=_NO_YES,
            ),
            _dataset(
                "copa",
                _SUPER_GLUE,
                "{{ premise }}\nWhat is the {{ question }}?\n1: {{ choice1 }}\n2: {{ choice2 }} "
                "||| {{ label }}",
                "copa",
                split=_DEV,
                labels=["1", "2"],
            ),
            _dataset(
                "multirc",
                _SUPER_GLUE,
                "{{ paragraph }}\nQuestion: {{ question }}\nIs this a right answer: {{ answer }} "
                "||| {{ label }}",
                "multirc",
                split=_DEV,
                labels=_NO_YES,
            ),
            _dataset(
                "record",
                _SUPER_GLUE,
                '{{ passage }}\n{{ query }}\nWhich of {{ entities | join(", ") }} is the @placeholder? '
                "||| {{ answers | join('|||') }}",
                "record",
                split=_DEV,
            ),
        ),
        "open-domain": (
            _dataset(
                "social_i_qa",
                "allenai/social_i_qa",
                "{{ context }}\n{{ question }}\n1: {{ answerA }}\n2: {{ answerB }}\n3: {{ answerC }} "
                "||| {{ label }}",
                split=_DEV,
                choices=["1", "2", "3"],
                revision=_CONVERTED,
            ),
            _dataset(
                "wiki_qa",
                "microsoft/wiki_qa",
                "Question: {{ question }}?\nDoes this answer it: {{ answer }} ||| {{ label }}",
                labels=_NO_YES,
            ),
            _dataset(
                "hotpot_qa",
                "hotpotqa/hotpot_qa",
                "{% for sentences in context.sentences %}{{ sentences | join('') }}\n{% endfor %}"
                "Question: {{ question }} ||| {{ answer }}",
                "distractor",
                split=_DEV,
            ),
        ),
        "coreference": (
            _dataset(
                "wsc",
                _SUPER_GLUE,
                '{{ text }}\nDoes "{{ span2_text }}" stand for "{{ span1_text }}"? ||| {{ label }}',
                "wsc.fixed",
                split=_DEV,
                labels=_NO_YES,
            ),
            _dataset(
                "winogrande",
                "allenai/winogrande",
                "{{ sentence }}\nWhat is the blank?\n1: {{ option1 }}\n2: {{ option2 }} ||| {{ answer }}",
                "winogrande_m",
                split=_DEV,
                choices=["1", "2"],
            ),
            _dataset(
                "quoref",
                "allenai/quoref",
                "{{ context }}\nQuestion: {{ question }} ||| {{ answers.text | unique | join('|||') }}",
                split=_DEV,
                revision=_CONVERTED,
            ),
        ),
        "summarization": (
            _dataset("xsum", "EdinburghNLP/xsum", _SUMMARY % "document", revision=_CONVERTED),
            _dataset("samsum", "knkarthick/samsum", _SUMMARY % "dialogue"),
            _dataset("multi_news", "alexfabbri/multi_news", _SUMMARY % "document", revision=_CONVERTED),
        ),
    }
)
"""The six families with three or four data sets each."""

"""The templates of the ProMoT paper (Table 5), which are those of PaLM, by the names study files use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.tasks._names import suggest


@dataclass(frozen=True, slots=True)
class BuiltinTemplate(Brief):
    """A ready-made template of a kind of task.

    Parameters
    ----------
    input, target : str
        See :class:`~cotune.tasks.readers.TemplateOptions`.
    metric : str
        What the paper scores the kind with.
    format : str
        A key of :data:`cotune.tasks.FORMATS` whose stops are those of the paper's post-processing (A.1).
    words : mapping of str to str
        Words for the values of the target, as numbers of SuperGLUE or as its names; empty for free text.
    """

    input: str
    target: str
    metric: str
    format: str
    words: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> dict[str, object]:
        """Return the reader options that the template stands for."""
        answers = {"labels": dict(self.words), "choices": list(dict.fromkeys(self.words.values()))}
        return {"input": self.input, "target": self.target, **(answers if self.words else {})}


_ENTAILMENT = "{{ premise }} question: {{ hypothesis }} Is it true or false? answer:"
_RELATION = "{{ premise }} question: {{ hypothesis }} Is it true or false or neither? answer:"
_SENSE = (
    "{{ sentence1 }} {{ sentence2 }} question: The word {{ word }} is used in the same way in the two "
    "sentences. Is it true or False? answer:"
)
_TRANSLATION = "Translate {{ source_language }} to {{ target_language }}: {{ sentence }}"

BUILTIN_TEMPLATES: Mapping[str, BuiltinTemplate] = MappingProxyType(
    {
        "rte": BuiltinTemplate(
            _ENTAILMENT,
            "{{ label }}",
            "accuracy",
            "plain",
            {"entailment": "True", "not_entailment": "False", "0": "True", "1": "False"},
        ),
        "cb": BuiltinTemplate(
            _RELATION,
            "{{ label }}",
            "accuracy",
            "plain",
            {
                "entailment": "True",
                "contradiction": "False",
                "neutral": "Neither",
                "0": "True",
                "1": "False",
                "2": "Neither",
            },
        ),
        "wic": BuiltinTemplate(
            _SENSE,
            "{{ label }}",
            "accuracy",
            "plain",
            {"True": "True", "False": "False", "1": "True", "0": "False"},
        ),
        "qa": BuiltinTemplate("Q: {{ question }} A:", "{{ answers | join('|||') }}", "exact_match", "qa"),
        "translation": BuiltinTemplate(_TRANSLATION, "{{ translation }}", "bleu", "translation"),
        "summarization": BuiltinTemplate(
            "Article: {{ article }} One sentence summary:", "{{ summary }}", "rouge_2", "summarization"
        ),
    }
)
"""Every built-in template by its name."""


def get_builtin(name: str) -> BuiltinTemplate:
    """Return the built-in template of a name.

    Raises
    ------
    InputError
        If there is none; names the nearest one.
    """
    try:
        return BUILTIN_TEMPLATES[name]
    except KeyError:
        raise InputError(f"'{name}' is not a built-in template; {suggest(name, BUILTIN_TEMPLATES)}") from None

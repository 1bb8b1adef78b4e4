"""The one road from a prompt to a score: task, format, shots and model in; answers, values, losses out.

Learners, in-context evaluation (ProMoT, section 5), ``cotune tune`` and ``cotune eval``, studies of retention
and of transfer all score here, so that one model, one task and one metric have one score.
"""

from cotune.answering._choices import LabelScore, choice_scores, encode_choices, label_weight
from cotune.answering._config import ChoiceConfig, InContextConfig
from cotune.answering._counting import NOT_ASKED, Asked, count_answers, count_in_context
from cotune.answering._encode import answer_tokens, encode_example, encode_fitting, left_out
from cotune.answering._evaluate import (
    QUESTIONS_SEED,
    InContextEvaluation,
    check_in_context,
    evaluate_in_context,
    merge_notes,
)
from cotune.answering._format_notes import format_notes
from cotune.answering._gold import gold_notes
from cotune.answering._postprocessing import extract_answer, match_choice
from cotune.answering._prompts import TaskPrompts
from cotune.answering._score import InContextScore, scored_fingerprint
from cotune.answering._summary import (
    InContextSummary,
    NormalisedAverage,
    normalised_average,
    summarise,
)

__all__ = [
    "NOT_ASKED",
    "QUESTIONS_SEED",
    "Asked",
    "ChoiceConfig",
    "InContextConfig",
    "InContextEvaluation",
    "InContextScore",
    "InContextSummary",
    "LabelScore",
    "NormalisedAverage",
    "TaskPrompts",
    "answer_tokens",
    "check_in_context",
    "choice_scores",
    "count_answers",
    "count_in_context",
    "encode_choices",
    "encode_example",
    "encode_fitting",
    "evaluate_in_context",
    "extract_answer",
    "format_notes",
    "gold_notes",
    "label_weight",
    "left_out",
    "match_choice",
    "merge_notes",
    "normalised_average",
    "scored_fingerprint",
    "summarise",
]

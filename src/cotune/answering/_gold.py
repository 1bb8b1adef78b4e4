"""What a perfect model would score: the right answers, sent down the road that a model's answers take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from cotune.answering._config import ChoiceConfig
from cotune.answering._encode import answer_tokens
from cotune.answering._postprocessing import extract_answer
from cotune.exceptions import InputError
from cotune.models import Encoder
from cotune.tasks import Example, Metric, Task, cut_answer, get_metric, stops_of

_PERFECT = 1 - 1e-9


def gold_notes(task: Task, encoder: Encoder, config: ChoiceConfig, split: str) -> tuple[str, ...]:
    """Say which right answers would not score 1, and why.

    Every right answer goes through tokenizer, decoding, stops, post-processing and metric, as an answer of
    the model's does. What is too long for ``max_target_tokens`` is not among them: it is dropped.

    Parameters
    ----------
    task : Task
        The task.
    encoder : Encoder
        The model's tokenizer and limits.
    config : ChoiceConfig
        How choices are taken.
    split : str
        Which examples.

    Returns
    -------
    tuple of str
        A sentence for every reason, with the number of examples and one of them; none for a task that is
        scored with a loss.
    """
    metric = get_metric(task.metric)
    if metric.needs == "likelihood":
        return ()
    stops = stops_of(task, line_breaks=encoder.line_breaks)
    known: dict[Example, str | None] = {}
    reasons: Counter[str] = Counter()
    such: dict[str, str] = {}
    examples = task[split]
    for example in examples:
        # Inputs make no difference; what does is asked once.
        key = Example("", example.targets, example.choices)
        if key not in known:
            known[key] = _fault(key, metric, encoder, stops, config)
        reason = known[key]
        if reason is not None:
            reasons[reason] += 1
            such.setdefault(reason, example.targets[0])
    notes = list(_sentences(reasons, such, f"{len(examples)} {split}"))
    if not notes and metric.corpus is not None and examples:
        whole = metric.corpus([e.targets[0] for e in examples], [e.targets for e in examples])
        if whole <= _PERFECT:
            notes.append(
                f"the right answers of all {len(examples)} {split} examples together score {whole:.2f} by "
                f"the metric {metric.name}."
            )
    return tuple(notes)


def _sentences(reasons: Counter[str], such: dict[str, str], all_: str) -> Iterator[str]:
    for reason, count in reasons.items():
        yield (
            f"the right answers of {count} of {all_} examples score less than 1, since {reason} (such as "
            f"{such[reason]!r:.60})."
        )


def _fault(
    example: Example, metric: Metric, encoder: Encoder, stops: Sequence[str], config: ChoiceConfig
) -> str | None:
    """Return why a right answer would not score 1; None where all of them do."""
    if example.choices and config.classification == "likelihood":
        if not set(example.targets) & set(example.choices):
            return "they are none of the choices"
        return None if metric.score(example.targets[0], example.targets) > _PERFECT else _by_metric(metric)
    faults = (_fault_of(target, example, metric, encoder, stops) for target in example.targets)
    return next((fault for fault in faults if fault is not None), None)


def _fault_of(
    target: str, example: Example, metric: Metric, encoder: Encoder, stops: Sequence[str]
) -> str | None:
    try:
        tokens = answer_tokens(encoder, target)
    except InputError:
        return "the model's tokenizer has no tokens for them"
    if tokens is None:
        return None
    written = encoder.decode(tokens)
    cut = cut_answer(written, stops)
    if metric.score(extract_answer(written, stops, example), example.targets) > _PERFECT:
        return None
    if metric.score(target, example.targets) <= _PERFECT:
        return _by_metric(metric)
    if metric.score(written, example.targets) <= _PERFECT:
        return "the model's tokenizer does not give them back as they are"
    if metric.score(cut, example.targets) <= _PERFECT:
        return "they hold what ends an answer (stops)"
    return "another of the choices is read from them"


def _by_metric(metric: Metric) -> str:
    return f"the metric {metric.name} gives identical text less"

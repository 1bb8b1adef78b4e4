"""Evaluating a model from disk or the hub on tasks in context."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from cotune._config import parse
from cotune._html import paragraphs, table
from cotune._repr import Brief
from cotune.answering import (
    ChoiceConfig,
    InContextConfig,
    InContextEvaluation,
    InContextScore,
    InContextSummary,
    NormalisedAverage,
    check_in_context,
    count_in_context,
    normalised_average,
    summarise,
)
from cotune.evaluation.saved_model import FIRST, OpenModel, SavedModel, find_saved_model, open_saved_model
from cotune.exceptions import InputError
from cotune.findings.wording import duration
from cotune.models.config import ModelConfig
from cotune.models.formats import FormatName
from cotune.models.precision import Precision
from cotune.studies.engine import cell, csv_text
from cotune.studies.engine.probe import time_answers
from cotune.studies.task_files import TaskSource, gather_tasks
from cotune.tasks import Example, Task, check_tasks, note_lines

Progress = Callable[[int, int], None]
"""Called with the number of prompts answered and of all."""

_OF_THE_MODEL = ("precision", "profile", "format", "max_prompt_tokens", "max_target_tokens")
_OF_THE_ANSWERS = tuple(ChoiceConfig.model_fields)
"""What a tuned model is read with as it was in its training, unless the caller says otherwise: so that it has
the score here that whoever tuned it has measured."""

_COLUMNS = (
    "task",
    "shots",
    "under_prompt",
    "metric",
    "mean",
    "stderr_draws",
    "stderr_examples",
    "n_draws",
    "n_examples",
    "n_cut",
)


class EvaluateConfig(InContextConfig):
    """How a model is put to tasks."""

    with_prompt: Literal["target", "all", "none"] = "target"
    """Which tasks a soft prompt or prefix stands before: that which it was trained on, all, or none."""
    seed: NonNegativeInt = 0
    """Decides the demonstrations."""
    precision: Precision = "auto"
    """Type of the weights; "auto" takes bf16 where it is measured to be faster than fp32, "int8" and "nf4"
    quantise them."""
    profile: Literal["auto", "plain", "sentinel"] = "auto"
    """What the model's family adds to prompts and targets; by default told from the checkpoint."""
    format: FormatName = "plain"
    """How tasks are put to the model: as "plain" text, as a "chat" by its template, or "auto"; a model that
    cotune tuned is asked as in its training."""
    max_target_tokens: PositiveInt = 128
    """The most tokens generated."""
    revision: str | None = None
    """Branch, tag or commit of the model, or of an adapter's base, on the hub."""
    trust_remote_code: bool = False
    """Whether code that comes with it runs, which may do all that you can: only with a revision that is a
    commit, or the hash of a folder's Python files, which the refusal tells."""


@dataclass(frozen=True, slots=True)
class Answer(Brief):
    """What a model answered to an example under one draw of the demonstrations.

    Parameters
    ----------
    task : str
        Name of the task.
    shots, draw : int
        Number of demonstrations, and of their draw from 0.
    input : str
        The example's.
    right : tuple of str
        Its right answers, the best first.
    answer : str or None
        What was taken as the answer; None where the task is scored by likelihoods.
    score : float
        The metric of this example.
    """

    task: str
    shots: int
    draw: int
    input: str
    right: tuple[str, ...]
    answer: str | None
    score: float


@dataclass(frozen=True)
class Evaluation(Brief):
    """What a model can do in context.

    Parameters
    ----------
    model : str
        What was evaluated, as it was named.
    rows : tuple of InContextSummary
        One for each task and number of shots.
    prompted : frozenset of str
        Names of the tasks that were put under the model's soft prompt or prefix.
    averages : tuple of NormalisedAverage
        Over the tasks by number of shots; those scored with a loss are not among them.
    notes : tuple of str
        A sentence for everything that was cut to fit, or left out.
    reading : tuple of str
        A sentence for everything that readers capped, divided or dropped.
    answers : tuple of Answer
        Every answer, in the order of the rows, their draws and the examples.
    """

    model: str
    rows: tuple[InContextSummary, ...]
    prompted: frozenset[str]
    averages: tuple[NormalisedAverage, ...]
    notes: tuple[str, ...]
    reading: tuple[str, ...]
    answers: tuple[Answer, ...] = ()

    def _repr_html_(self) -> str:
        rows = [
            (row.task, row.metric, str(row.shots), format_mean(row), str(row.n_examples)) for row in self.rows
        ]
        shown = table(("task", "metric", "shots", "mean", "examples"), rows)
        return paragraphs([], self.model) + shown + paragraphs(self.notes)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "model": self.model,
            "rows": [self._plain(row) for row in self.rows],
            "averages": [asdict(average) for average in self.averages],
            "notes": list(self.notes),
            "reading": list(self.reading),
            "answers": [asdict(answer) for answer in self.answers],
        }

    def answer_lines(self) -> str:
        """Return every answer as JSON lines."""
        return "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in self.answers)

    def csv(self) -> str:
        """Return the rows as CSV, with all digits."""
        plain = (self._plain(row) for row in self.rows)
        return csv_text(
            _COLUMNS,
            ([v if isinstance(v, str | bool) else cell(v) for v in map(row.get, _COLUMNS)] for row in plain),
        )

    def _plain(self, row: InContextSummary) -> dict[str, Any]:
        return {**asdict(row), "under_prompt": row.task in self.prompted}


def evaluate(
    model: str | Path,
    tasks: TaskSource | Iterable[TaskSource],
    *,
    base: str | Path | None = None,
    shots: Sequence[int] = (0, 1, 4),
    draws: int = 3,
    with_prompt: Literal["target", "all", "none"] = "target",
    seed: int = 0,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
    **options: Any,
) -> Evaluation:
    """Evaluate a model on tasks in context.

    What ``cotune eval`` does.

    Parameters
    ----------
    model : str or Path
        Folder of a checkpoint, of a PEFT adapter, of ``cotune tune`` or of an adapter of a study, or a name
        on the hub. A model that cotune tuned is read, and its answers are taken, as when it was tuned.
    tasks : Task, str, Path or iterable of them
        What it is put to, each scored with its own metric; paths as :func:`cotune.read_tasks` takes them.
    base : str or Path, optional
        The base of an adapter, if not the one that it names.
    shots : sequence of int
        Numbers of demonstrations in a prompt.
    draws : int
        How often the demonstrations are drawn.
    with_prompt : {"target", "all", "none"}
        Tasks a soft prompt stands before: that which it was trained on, all, or none.
    seed : int
        Of the demonstrations; the splits stay.
    progress : callable, optional
        Called with the number of prompts answered and of all.
    note : callable, optional
        Called with a sentence that says what it will take, before it is begun.
    **options
        Further keys of :class:`EvaluateConfig`: ``split``, ``max_examples``, ``classification``,
        ``num_beams``, ``precision``, ``format``, ``max_prompt_tokens`` ...

    Returns
    -------
    Evaluation
        ``rows`` has the score of every task and number of shots with its standard errors, ``notes`` what was
        cut or left out, ``answers`` every answer, ``csv()`` all digits.

    Raises
    ------
    InputError
        If a task does not fit the model or the shots, an adapter not its base, or an option is not valid.

    Examples
    --------
    The model and the tasks here are those that come with cotune; files and hub names do as well.

    >>> from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
    >>> tasks = toy_tasks(["copy", "max"], train=16, validation=2, test=4)
    >>> evaluation = cotune.evaluate(TOY_CHECKPOINT, tasks, shots=(0, 2), draws=1)
    >>> [(row.task, row.shots, row.n_examples) for row in evaluation.rows]
    [('copy', 0, 4), ('copy', 2, 4), ('max', 0, 4), ('max', 2, 4)]
    """
    content = {"shots": shots, "draws": draws, "with_prompt": with_prompt, "seed": seed, **options}
    config = parse(EvaluateConfig, content, "cotune eval")
    saved = find_saved_model(str(model), base=None if base is None else str(base))
    return evaluate_saved_model(str(model), saved, gather_tasks(tasks), config, progress, note)


def evaluate_saved_model(
    name: str,
    saved: SavedModel,
    tasks: Sequence[Task],
    config: EvaluateConfig,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> Evaluation:
    """Evaluate a model from disk or the hub on tasks in context.

    Parameters
    ----------
    name : str
        What the model is called in the result.
    saved : SavedModel
        From :func:`cotune.evaluation.saved_model.find_saved_model`.
    tasks : sequence of Task
        What it is put to, each scored with its own metric.
    config : EvaluateConfig
        How.
    progress : callable, optional
        Called with the number of prompts answered and of all.

    Raises
    ------
    InputError
        If a task does not fit the model or the shots, an adapter not its base; or if nobody knows which task
        a soft prompt is for.
    """
    check_tasks(tasks)
    config = _as_scored(saved, config)
    prompted = _prompted(name, saved, tasks, config)
    wanted = _model_config(saved, config)
    encoder = wanted.encoder(Path())
    checked = check_in_context(tasks, config, encoder, seeds=[config.seed])
    opened = open_saved_model(saved, wanted.load(Path(), encoder))
    if note is not None:
        note(_cost(opened, tasks, config))
    scores, answers = _ask(opened, tasks, prompted, config, progress)
    rows = tuple(summarise(scores))
    averages = normalised_average(row for row in rows if row.higher_is_better)
    read = (f"{task.name}: {note}" for task in tasks for note in task.notes)
    notes = (*_notes(saved, prompted), *note_lines(checked), *cut_notes(rows), *_without_losses(rows))
    return Evaluation(name, rows, prompted, tuple(averages), notes, tuple(read), answers)


def _prompted(name: str, saved: SavedModel, tasks: Sequence[Task], config: EvaluateConfig) -> frozenset[str]:
    """Return the names of the tasks that are put under the soft prompt."""
    names = frozenset(task.name for task in tasks)
    if config.with_prompt == "all" and not saved.has_prompt:
        raise InputError(f"{name} has no soft prompt or prefix, so --with-prompt all does not fit it.")
    if config.with_prompt == "all" and saved.prompts:
        raise InputError(
            f"{name} has a soft prompt for each of {', '.join(saved.prompts)}, and none that could stand "
            "before all tasks; --with-prompt takes target or none for it."
        )
    if config.with_prompt == "none" or not saved.has_prompt:
        return frozenset()
    if config.with_prompt == "all":
        return names
    if not saved.tasks:
        raise InputError(
            f"{name} does not say which task its soft prompt or prefix is for; say --with-prompt all or none."
        )
    return names & frozenset(saved.tasks)


def _as_scored(saved: SavedModel, config: EvaluateConfig) -> EvaluateConfig:
    """Take answers as they were taken when the model was tuned, where the caller does not say how."""
    known = {key: saved.reading[key] for key in _OF_THE_ANSWERS if key in saved.reading}
    return config.model_copy(update={k: v for k, v in known.items() if k not in config.model_fields_set})


def _model_config(saved: SavedModel, config: EvaluateConfig) -> ModelConfig:
    recorded = saved.reading
    given = {field: getattr(config, field) for field in _OF_THE_MODEL if field in config.model_fields_set}
    options = {field: recorded[field] for field in _OF_THE_MODEL if field in recorded}
    if recorded:
        options.setdefault("format", "plain")  # what was tuned before there were chats
    options |= {field: value for field, value in given.items() if value is not None}
    # A folder does not say of itself that its code may run.
    options |= {"revision": config.revision or saved.revision, "trust_remote_code": config.trust_remote_code}
    return parse(ModelConfig, {"model": str(saved.base), **options}, "eval")


def _ask(
    opened: OpenModel,
    tasks: Sequence[Task],
    prompted: frozenset[str],
    config: EvaluateConfig,
    progress: Progress | None,
) -> tuple[list[InContextScore], tuple[Answer, ...]]:
    """Evaluate the tasks without and with the prompt; scores and answers in the order of the tasks."""
    groups: dict[Path | None, list[Task]] = {}
    for task in tasks:
        place = opened.saved.prompt_of(task.name) if task.name in prompted else None
        groups.setdefault(place, []).append(task)
    total, asked = _n_prompts(tasks, config), 0
    scores: list[InContextScore] = []
    examples: dict[str, tuple[Example, ...]] = {}
    for place, group in groups.items():

        def told(done: int, _: int, before: int = asked) -> None:
            if progress is not None:
                progress(before + done, total)

        asked += _n_prompts(group, config)
        with ExitStack() as stack:
            under = opened.under_prompt(group[0].name) if place is not None else None
            module, ids = stack.enter_context(under) if under is not None else (opened.module, ())
            evaluation = InContextEvaluation(
                group,
                config,
                opened.model.encoder,
                seed=config.seed,
                soft_prompts={task.name: ids for task in group},
                context=opened.model.context,
            )
            scores += evaluation.run(opened.model, module, told)
            examples |= evaluation.examples
    order = {task.name: at for at, task in enumerate(tasks)}
    scores.sort(key=lambda score: order[score.task])
    answers = (answer for score in scores for answer in _answers(score, examples[score.task]))
    return scores, tuple(answers)


def _answers(score: InContextScore, examples: Sequence[Example]) -> Iterator[Answer]:
    answers = score.answers or (None,) * len(examples)
    for example, answer, value in zip(examples, answers, score.per_example, strict=True):
        yield Answer(score.task, score.shots, score.draw, example.input, example.targets, answer, value)


def _cost(opened: OpenModel, tasks: Sequence[Task], config: EvaluateConfig) -> str:
    """Put a few questions to the model, and say what all of them will take."""
    asked = count_in_context(opened.model, tasks, config, seed=config.seed)
    seconds = time_answers(opened.model, tasks, config, seed=config.seed, module=opened.module)(asked)
    return f"{_n_prompts(tasks, config):,} prompts, about {duration(seconds)} of processor time."


def _n_prompts(tasks: Sequence[Task], config: EvaluateConfig) -> int:
    draws = sum(config.draws if shots else 1 for shots in config.shots)
    return sum(len(task[config.split][: config.max_examples]) * draws for task in tasks)


def _notes(saved: SavedModel, prompted: frozenset[str]) -> Iterator[str]:
    if saved.has_prompt:
        which = ", ".join(sorted(prompted))
        what = "Its own soft prompt" if saved.prompts else "The soft prompt or prefix"
        if saved.prompt is not None and saved.prompt.name == FIRST:
            what = "The LoRA of the first stage"
        yield (
            f"{what} stood before the inputs of {which}, and of no other task."
            if prompted
            else f"{what} was left out: none of the tasks is the one it was trained on."
        )


def format_mean(row: InContextSummary | NormalisedAverage) -> str:
    """Return a mean with its standard error over the draws, if there were several."""
    return f"{row.mean:.3f}" + (f" ± {row.stderr_draws:.3f}" if row.stderr_draws is not None else "")


def cut_notes(rows: Iterable[InContextSummary]) -> Iterator[str]:
    """Yield a sentence for every row some of whose prompts had to be cut."""
    for row in rows:
        if row.n_cut:
            asked = row.n_draws * row.n_examples
            yield f"{row.task}, {row.shots}-shot: the input of {row.n_cut} of {asked} prompts was cut to fit."


def _without_losses(rows: Sequence[InContextSummary]) -> Iterator[str]:
    losses = list(dict.fromkeys(row.task for row in rows if not row.higher_is_better))
    if losses:
        yield f"{', '.join(losses)}: scored with a loss, so no part of the average."

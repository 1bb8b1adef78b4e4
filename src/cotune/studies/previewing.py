"""What a model will see of tasks, shown before anything is trained: no weights are loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from cotune._config import parse
from cotune.answering import InContextConfig, TaskPrompts, check_in_context, gold_notes, merge_notes
from cotune.exceptions import InputError
from cotune.findings.preview import Preview, ShownPrompt, ShownToken, TaskPreview
from cotune.findings.wording import count
from cotune.models import Encoded
from cotune.models.config import ModelConfig
from cotune.models.token_texts import token_texts, whole_text
from cotune.studies.engine import Prompting, choose, is_study_folder
from cotune.studies.kinds import Study
from cotune.studies.task_files import TaskSource, gather_tasks
from cotune.tasks import SPLITS, Task, check_tasks, get_metric, stops_of
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.methods import Lora


def preview(
    source: TaskSource | Study[Any, Any] | Iterable[TaskSource],
    model: str | Path | None = None,
    *,
    title: str | None = None,
    tasks: Sequence[str] = ("*",),
    examples: int = 1,
    shots: Sequence[int] = (0,),
    **options: Any,
) -> Preview:
    """Show what a model sees of tasks: exact prompts, tokens, which carry loss, and what is lost.

    What ``cotune preview`` does.

    Parameters
    ----------
    source : str, Path, Task, Study or iterable of tasks
        A study, its file (YAML) or folder, which name the model; or tasks as :func:`cotune.evaluate` takes
        them.
    model : str or Path, optional
        Folder of a checkpoint, or a name on the hub: whose tokenizer reads the tasks. Of a study none.
    title : str, optional
        What it is called, by default as the source.
    tasks : sequence of str
        Names or patterns of the tasks to show.
    examples : int
        Training examples of each task that are written out; those that lose most to the limits go first.
    shots : sequence of int
        Numbers of demonstrations of the prompts that are asked; of a study its own.
    **options
        How the model reads: ``format``, ``max_prompt_tokens``, ``max_target_tokens``, ``classification`` and
        whatever else :func:`cotune.evaluate` takes.

    Returns
    -------
    Preview
        ``sentences()`` is what the command prints.

    Raises
    ------
    InputError
        If the tasks, the model or an option is not usable, as for the study or the command itself.

    Examples
    --------
    >>> from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
    >>> found = cotune.preview(toy_tasks(["copy", "max"]), TOY_CHECKPOINT, title="toys")
    >>> [task.name for task in found.tasks]
    ['copy', 'max']
    """
    if examples < 1:
        raise InputError(f"examples must be at least 1, got {examples}.")
    if isinstance(source, Study):
        return _of_study(source, tasks, examples)
    if model is None:
        if isinstance(source, str | Path) and _is_study(Path(source)):
            return _of_study(Study.load(source), tasks, examples)
        raise InputError(
            "The tokens of a prompt are a model's: name it (model, --model), or give a study file."
        )
    found = gather_tasks(source)
    check_tasks(found)
    prompting = _prompting_of(found, str(model), shots, options)
    title = title or (str(source) if isinstance(source, str | Path) else found[0].name)
    return _previewed(title, found, prompting, _notes(found, prompting), tasks, examples)


def _is_study(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml") or is_study_folder(path)


def _prompting_of(
    tasks: Sequence[Task], model: str, shots: Sequence[int], options: Mapping[str, Any]
) -> Prompting:
    """Return how tasks are put to a model where no study says it."""
    of_model = {key: value for key, value in options.items() if key in ModelConfig.model_fields}
    asked = {"shots": list(shots), **{k: v for k, v in options.items() if k not in of_model}}
    encoder = parse(ModelConfig, {"model": model, **of_model}, "preview").encoder(Path())
    names = [task.name for task in tasks]
    return Prompting(
        model=model,
        encoder=encoder,
        in_context=parse(InContextConfig, asked, "preview"),
        methods={name: [Lora()] for name in names},
        shots={name: [k for k in shots if k] for name in names},
    )


def _notes(tasks: Sequence[Task], prompting: Prompting) -> Mapping[str, Sequence[str]]:
    """Say what was read, cut and dropped in the words of those who train and score."""
    encoder = prompting.encoder
    trained = EncodedTasks(tasks, lambda: encoder).check()
    asked = check_in_context(tasks, prompting.in_context, encoder, seeds=[prompting.seed])
    return merge_notes({task.name: task.notes for task in tasks}, trained, asked)


def _of_study(study: Study[Any, Any], names: Sequence[str], examples: int) -> Preview:
    prompting = study.prompting
    return _previewed(study.config.name, study.tasks, prompting, study.check(), names, examples)


def _previewed(
    title: str,
    found: Sequence[Task],
    prompting: Prompting,
    notes: Mapping[str, Sequence[str]],
    patterns: Sequence[str],
    examples: int,
) -> Preview:
    names = choose(patterns, [task.name for task in found], "tasks")
    chosen = [task for task in found if task.name in names]
    return Preview(
        title=title,
        date=date.today().isoformat(),
        model=prompting.model,
        tasks=tuple(_Shown(task, prompting, notes.get(task.name, ()), examples).preview() for task in chosen),
        facts=_facts(prompting),
    )


def _facts(prompting: Prompting) -> tuple[tuple[str, str], ...]:
    encoder = prompting.encoder
    ends = ", ".join(map(repr, token_texts(encoder.tokenizer, sorted(encoder.end_tokens))))
    facts = [
        (
            "limits",
            f"{encoder.max_prompt_tokens} tokens of a prompt (max_prompt_tokens; a longer one has its input "
            f"cut), {encoder.max_target_tokens} of a target (max_target_tokens; a longer one is dropped)",
        ),
        ("an answer ends with", ends),
    ]
    methods = {method.kind: method for some in prompting.methods.values() for method in some}
    soft = [f"{method.virtual_tokens} of {kind}" for kind, method in methods.items() if method.virtual_tokens]
    if soft:
        facts.append(("virtual tokens before all that is shown", ", ".join(soft)))
    return tuple(facts)


@dataclass(frozen=True)
class _Shown:
    """One task, and how it is put to the model."""

    task: Task
    prompting: Prompting
    notes: Sequence[str]
    examples: int

    def preview(self) -> TaskPreview:
        task, metric = self.task, get_metric(self.task.metric)
        gold = tuple(dict.fromkeys(note for split in SPLITS for note in self._gold(split)))
        trained = self._is_trained
        return TaskPreview(
            name=task.name,
            instruction=task.instruction,
            format=task.format,
            metric=metric.name,
            why_metric=task.why_metric,
            higher_is_better=metric.higher_is_better,
            answered=self._answered(),
            examples={split: len(task.splits.get(split, ())) for split in SPLITS},
            lengths=tuple(len(one) for one in self._data.encoded(task.name, "train")) if trained else (),
            prompts=(*self._trained(), *self._asked(), *self._further()),
            notes=tuple(note for note in self.notes if note not in gold),
            gold=gold,
        )

    @property
    def _is_trained(self) -> bool:
        return bool(self.prompting.methods.get(self.task.name))

    @cached_property
    def _data(self) -> EncodedTasks:
        return EncodedTasks([self.task], lambda: self.prompting.encoder)

    @property
    def _shots(self) -> Sequence[int]:
        return self.prompting.shots.get(self.task.name, ())

    def _gold(self, split: str) -> Sequence[str]:
        if not self.task.splits.get(split):
            return ()
        return gold_notes(self.task, self.prompting.encoder, self.prompting.in_context, split)

    def _prompts(self, shots: int) -> TaskPrompts:
        asked = self.prompting.in_context.model_copy(update={"shots": (shots,), "draws": 1})
        return TaskPrompts(self.task, asked, self.prompting.encoder, seed=self.prompting.seed)

    def _trained(self) -> Iterator[ShownPrompt]:
        """Show training examples, those that lost most first, under each number of demonstrations."""
        methods = self.prompting.methods.get(self.task.name, ())
        if not methods:
            return
        train = self.task["train"]
        pairs = sorted(self._data.kept(self.task.name, "train"), key=lambda pair: -pair[1].n_cut)
        for shots in sorted({method.demonstrations for method in methods}):
            data = EncodedTasks([self.task], lambda: self.prompting.encoder, demonstrations=shots)
            after = f", after {count(shots, 'solved example')}, drawn anew every time" if shots else ""
            for example, _ in pairs[: self.examples]:
                encoded = data.encode(self.task.name, example, example.targets[0])
                assert encoded is not None, "it was kept, and demonstrations do not lengthen a target"
                title = f"training example {train.index(example) + 1} of {len(train)}{after}"
                yield self._prompt(title, encoded)

    def _asked(self) -> Iterator[ShownPrompt]:
        """Show the first prompt of each number of demonstrations that is asked in context."""
        split = self.prompting.in_context.split
        for shots in self._shots:
            prompts = self._prompts(shots)
            encoded = prompts.prompts(shots, 0)[0]
            of = f"{split} example 1 of {len(prompts.examples)}"
            yield self._prompt(f"{of}, asked with {count(shots, 'demonstration')}", encoded)

    def _further(self) -> Iterator[ShownPrompt]:
        for title, encoded in self.prompting.further(self.task):
            yield self._prompt(title, encoded)

    def _prompt(self, title: str, encoded: Encoded) -> ShownPrompt:
        tokenizer = self.prompting.encoder.tokenizer
        ids = (*encoded.prompt, *encoded.target)
        learned = [False] * len(encoded.prompt) + [True] * len(encoded.target)
        return ShownPrompt(
            title=title,
            prompt=whole_text(tokenizer, encoded.prompt),
            answer=whole_text(tokenizer, encoded.target),
            tokens=tuple(
                ShownToken(id=token, text=text, learned=is_learned)
                for token, text, is_learned in zip(ids, token_texts(tokenizer, ids), learned, strict=True)
            ),
            n_cut=encoded.n_cut,
        )

    def _answered(self) -> str:
        """Say how an answer is taken."""
        config = self.prompting.in_context
        if get_metric(self.task.metric).needs == "likelihood":
            return "not at all: the likelihood of the target's tokens is the score"
        shots = max(self._shots, default=0)
        prompts = self._prompts(shots)
        if prompts.examples[0].choices and config.classification == "likelihood":
            options = zip(prompts.examples[0].choices, prompts.options(shots, 0)[0], strict=True)
            listed = ", ".join(f"{choice} ({count(len(o.target), 'token')})" for choice, o in options)
            return f"as the likeliest choice by the {config.label_score} over its tokens, of {listed}"
        stops = stops_of(self.task, line_breaks=self.prompting.encoder.line_breaks)
        before = f", ended before {' or '.join(map(repr, stops))}" if stops else ""
        choices = ", taken for the choice that it begins with" if prompts.examples[0].choices else ""
        return f"by up to {prompts.max_new_tokens} generated tokens{before}{choices}"

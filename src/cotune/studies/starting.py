"""A first study file for whatever data is there: read, counted, written down with reasons."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cotune._config import parse
from cotune._files import write_text
from cotune._places import expanded
from cotune._repr import Brief
from cotune.answering import encode_example
from cotune.exceptions import InputError
from cotune.findings.wording import count
from cotune.models import Encoded, Encoder
from cotune.models.config import ModelConfig
from cotune.studies.grouping.config import GroupingStudyConfig
from cotune.tasks import SPLITS, Task, note_lines
from cotune.tasks.readers import AutoReader
from cotune.training.config import TrainingConfig

_MOST_TARGET_TOKENS = 1024
_ROUNDED = 32
_LISTED = 40
"""Tasks that the file lists with what they were read as; of more it lists the first."""


@dataclass(frozen=True)
class StartedStudy(Brief):
    """A study file that was written.

    Parameters
    ----------
    file : Path
        The file.
    tasks : tuple of Task
        The tasks it studies.
    left_out : mapping of str to str
        Tasks that could not be read, and why.
    """

    file: Path
    tasks: tuple[Task, ...]
    left_out: dict[str, str]

    def sentences(self) -> list[str]:
        """Say what was found, and what to do next."""
        lines = [f"{self.file}: {count(len(self.tasks), 'task')} to group"]
        lines += [f"  {line}" for line in note_lines({task.name: task.notes for task in self.tasks})]
        lines += [f"  {name} is left out: {reason}" for name, reason in self.left_out.items()]
        return [
            *lines,
            "next:",
            *(f"  cotune {command} {self.file}" for command, _ in _COMMANDS),
        ]


def start_study(
    data: str | Path, model: str, out: str | Path = "study.yaml", *, trusted_revision: str | None = None
) -> StartedStudy:
    """Write a study file for data as it is, with comments that say why each line is as it is.

    What ``cotune init`` does. The file is read back before it is written: it is a valid study.

    Parameters
    ----------
    data : str or Path
        A file, a folder, or the name of a data set on the hub, of two tasks or more.
    model : str
        Folder of a checkpoint, or a name.
    out : str or Path
        The file to write, which must not exist; results will go to the folder of its name.
    trusted_revision : str, optional
        Lets code run that comes with the model, here and in the study: a commit of the hub, or the hash of a
        folder's Python files, that somebody has read.

    Raises
    ------
    InputError
        If there is such a file, no data or model, or fewer than two tasks that can be read.
    """
    out, data = Path(out), str(data)
    if out.exists():
        raise InputError(f"{out} exists and is not replaced; name another file with --out.")
    if out.with_suffix("").exists():
        raise InputError(
            f"Results would go to {out.with_suffix('')}, which exists; name another file with --out."
        )
    found = AutoReader(path=data).each(base=Path(), seed=0)
    tasks = tuple(task for task in found.values() if isinstance(task, Task))
    left_out = {name: str(error) for name, error in found.items() if isinstance(error, InputError)}
    if not tasks:
        raise InputError(next(iter(left_out.values())))
    if len(tasks) == 1:
        raise InputError(
            f"{data} holds one task that can be read ({tasks[0].name}), and groups are of several: tune a "
            f"model on it by 'cotune tune {data} --model {model} --out {tasks[0].name}-tuned'."
        )
    trust: dict[str, Any] = {}
    if trusted_revision is not None:
        trust = {"revision": trusted_revision, "trust_remote_code": True}
    sizes = _Sizes.of(tasks, ModelConfig(model=model, **trust).encoder(Path()))
    text = _text(data, model, out, tasks, left_out, [*_as_lines(trust), *sizes.lines()])
    parse(GroupingStudyConfig, yaml.safe_load(text), str(out)).check(str(out))
    write_text(out, text)
    return StartedStudy(out, tasks, left_out)


@dataclass(frozen=True)
class _Sizes:
    """How long prompts and targets are in the model's tokens, and how many are above the limits."""

    longest_prompt: int
    longest_target: int
    n_cut: int
    n_dropped: int
    limits: tuple[int, int]

    @classmethod
    def of(cls, tasks: Sequence[Task], encoder: Encoder) -> _Sizes:
        limits = encoder.max_prompt_tokens, encoder.max_target_tokens
        encoder.max_prompt_tokens = encoder.max_target_tokens = 1 << 30
        encoded = [one for task in tasks for one in _encoded(encoder, task)]
        prompts, targets = [len(one.prompt) for one in encoded], [len(one.target) for one in encoded]
        n_cut = sum(length > limits[0] for length in prompts)
        n_dropped = sum(length > limits[1] for length in targets)
        return cls(max(prompts), max(targets), n_cut, n_dropped, limits)

    def lines(self) -> Iterator[str]:
        """Write the limits, where they are not the defaults, with what they are for."""
        if self.n_cut:
            yield f"  # {count(self.n_cut, 'prompt')} of more tokens, up to {self.longest_prompt:,}, lose"
            yield "  # the end of their input; a higher limit takes more memory."
            yield f"  max_prompt_tokens: {self.limits[0]}"
        if self.n_dropped:
            enough = -(-self.longest_target // _ROUNDED) * _ROUNDED
            dropped = count(self.n_dropped, "example")
            yield f"  # At the usual limit of {self.limits[1]} tokens {dropped} would be dropped; the longest"
            yield f"  # target takes {self.longest_target:,}."
            yield f"  max_target_tokens: {min(enough, _MOST_TARGET_TOKENS)}"


def _as_lines(options: dict[str, Any]) -> list[str]:
    return [f"  {key}: {_value(value)}" for key, value in options.items()]


def _encoded(encoder: Encoder, task: Task) -> Iterator[Encoded]:
    for split in SPLITS:
        for example in task[split]:
            encoded = encode_example(encoder, task, example, example.targets[0])
            assert encoded is not None, "there is no limit"
            yield encoded


def _text(
    data: str,
    model: str,
    out: Path,
    tasks: Sequence[Task],
    left_out: dict[str, str],
    of_model: Sequence[str],
) -> str:
    base = out.resolve().parent
    training = TrainingConfig()
    once = -(-min(len(task["train"]) for task in tasks) // training.batch_size)
    budgets = [min(max(8, once // 4), 16), min(max(32, once), 64)]
    lines = [
        f"# Which of these {len(tasks)} tasks should be trained together?",
        "#",
        *(f"#   {f'cotune {command} {out}':<34}{what}" for command, what in _COMMANDS),
        "#",
        f"# Results go to {out.with_suffix('')}/. docs/study-files.md tells every key; cotune schema prints",
        "# them for an editor.",
        f"name: {_value(Path(data).resolve().name if Path(data).exists() else data)}",
        "",
        "tasks:",
        f"  path: {_value(_relative(data, base))}",
        *_read_as(tasks),
        *_without(left_out),
        *_metric(tasks),
        "  # The most examples of each split; null takes all.",
        "  max_examples: {train: 256, validation: 32, test: 64}",
        "",
        "learner:",
        "  kind: language_model",
        "  # A folder of a transformers checkpoint, toy_language (comes with cotune), or a name on the hub.",
        f"  model: {_value(_relative(model, base))}",
        *of_model,
        "  method: {name: lora, r: 8, alpha: 16}",
        f"  training: {{learning_rate: 1.0e-3, batch_size: {training.batch_size}, "
        f"tasks_per_batch: {training.tasks_per_batch}}}",
        "",
        "# How tasks act on one another: gradients at the untrained model to begin with, which trains",
        "# nothing. Truer and dearer: {estimator: higher_order} trains subsets of tasks (docs/affinity.md).",
        "affinity: {estimator: gradient_cosine, examples: 16}",
        "",
        "grouping: {n_clusters: auto}",
        "",
        "# Whether the groups are worth it depends on how long one trains: steps a task, of which about",
        f"# {once} go once through the examples of the smallest task. comparison: null only groups.",
        "comparison:",
        f"  budgets: {budgets}",
        "  # With one seed nothing can be decided, with two hardly anything.",
        "  seeds: 3",
        "  # Further arms: random (groups of these sizes by lot), branched (together first, then in groups).",
        "  arms: [grouped, joint, single]",
    ]
    return "\n".join(lines) + "\n"


_COMMANDS = (
    ("preview", "what the model will see of each"),
    ("plan", "what it will cost"),
    ("run", "do it; the same command goes on after an interruption"),
)


def _read_as(tasks: Sequence[Task]) -> Iterator[str]:
    """Say what every task was read as, and how it is scored."""
    yield "  # What was found; include: [NAME, ...] takes some of them, exclude: [NAME, ...] leaves some out."
    for task in tasks[:_LISTED]:
        sizes = " / ".join(str(len(task[split])) for split in SPLITS)
        read = next((note for note in task.notes if note.startswith("read as")), "read")
        yield f"  #   {task.name}: {_one_line(read)}; {sizes} used, {task.metric}"
    if len(tasks) > _LISTED:
        yield f"  #   and {len(tasks) - _LISTED} more"


def _without(left_out: dict[str, str]) -> Iterator[str]:
    if left_out:
        yield "  # These could not be read as they are; with what is said here they can be taken back:"
        yield from (f"  #   {name}: {_one_line(reason)}" for name, reason in left_out.items())
        yield f"  exclude: {_value(list(left_out))}"


def _metric(tasks: Sequence[Task]) -> Iterator[str]:
    metrics = Counter(task.metric for task in tasks)
    if len(metrics) == 1:
        yield f"  # Scored by {tasks[0].metric}. The loss of the right answer is cheapest and varies least:"
        yield "  # metric: nll"
        return
    listed = ", ".join(f"{name} ({number})" for name, number in metrics.most_common())
    yield "  # One metric for all, so that the verdict is of all: the loss of the right answer, which is"
    yield f"  # cheapest and varies least. Without this line tasks have those that fit them: {listed}."
    yield "  metric: nll"


def _value(content: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(content, default_flow_style=True, allow_unicode=True, width=1 << 30)
    return text.removesuffix("\n").removesuffix("\n...")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _relative(place: str, base: Path) -> str:
    """Return a path as it reads from the study file; a name on the hub is none."""
    path = expanded(place)
    return place if path.is_absolute() or not path.exists() else os.path.relpath(path.resolve(), base)

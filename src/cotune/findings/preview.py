"""What a model sees of tasks: exact prompts, tokens, which of them are learned, and what is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from cotune._repr import Brief
from cotune.findings.wording import count
from cotune.tasks import note_lines

_WIDTH = 100
_IN_FULL = 3
"""Tasks of a preview whose prompts are written out on a terminal."""


@dataclass(frozen=True, kw_only=True)
class ShownToken(Brief):
    """A token.

    Parameters
    ----------
    id : int
        Its number in the vocabulary.
    text : str
        What it stands for.
    learned : bool
        Whether training lowers the loss of it.
    """

    id: int
    text: str
    learned: bool


@dataclass(frozen=True, kw_only=True)
class ShownPrompt(Brief):
    """A prompt as a model reads it, with the answer that is learned where there is one.

    Parameters
    ----------
    title : str
        Which example it is of, and what it is read for.
    prompt, answer : str
        The text that the tokens spell, special ones shown; the answer is empty where none is learned.
    tokens : tuple of ShownToken
        Those of the prompt, then those of the answer.
    n_cut : int
        Tokens that the end of its input lost to fit.
    """

    title: str
    prompt: str
    answer: str
    tokens: tuple[ShownToken, ...]
    n_cut: int = 0

    @property
    def n_learned(self) -> int:
        """How many tokens carry loss."""
        return sum(token.learned for token in self.tokens)

    @property
    def size(self) -> str:
        """Say how many tokens there are, learn, and were cut."""
        parts = [count(len(self.tokens), "token")]
        if self.n_learned:
            parts.append(f"{self.n_learned} of them with loss")
        if self.n_cut:
            parts.append(f"{self.n_cut} cut off the end of the input")
        return ", ".join(parts)

    def lines(self) -> Iterator[str]:
        """Write it out: the text, and the tokens with those that are learned in brackets."""
        yield f"{self.title}: {self.size}"
        yield from (f"  | {line}" for line in self.prompt.split("\n"))
        if self.answer:
            yield from (f"  > {line}" for line in self.answer.split("\n"))
        yield from _wrapped([_marked(token) for token in self.tokens])


@dataclass(frozen=True, kw_only=True)
class TaskPreview(Brief):
    """What a model sees of one task.

    Parameters
    ----------
    name : str
        The task.
    instruction : str
        What its prompts open with.
    format : str
        The form of its prompts.
    metric, why_metric : str
        What it is scored by, and why.
    higher_is_better : bool
        The metric's direction.
    answered : str
        How an answer is taken from the model.
    examples : mapping of str to int
        Examples of each split that are used.
    lengths : tuple of int
        Tokens of each training example, empty where the task is not trained.
    prompts : tuple of ShownPrompt
        Some of them, written out.
    notes : tuple of str
        What it was read as; what was cut, dropped or left out.
    gold : tuple of str
        Right answers that would not score 1, and why; none where all do.
    """

    name: str
    instruction: str
    format: str
    metric: str
    why_metric: str
    higher_is_better: bool
    answered: str
    examples: Mapping[str, int]
    lengths: tuple[int, ...]
    prompts: tuple[ShownPrompt, ...]
    notes: tuple[str, ...]
    gold: tuple[str, ...]

    @property
    def scored_by(self) -> str:
        """Name metric, direction and reason."""
        better = "higher" if self.higher_is_better else "lower"
        return f"{self.metric} ({better} is better), {self.why_metric}"

    @property
    def right_answers(self) -> Sequence[str]:
        """Say whether right answers score 1."""
        if self.gold:
            return self.gold
        splits = [split for split, number in self.examples.items() if number]
        if not self.higher_is_better:
            return (f"{self.metric} compares no answers, so that no right one can be scored wrongly",)
        return (f"every right answer of {', '.join(splits)} scores 1 when it is given",)

    @property
    def length(self) -> str:
        """Say how long training examples are."""
        if not self.lengths:
            return ""
        return f"{round(median(self.lengths)):,} (median) to {max(self.lengths):,}"

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """Name and value of what holds for the whole task."""
        sizes = ", ".join(f"{number:,} {split}" for split, number in self.examples.items())
        pairs = [
            ("examples", sizes),
            ("format", self.format),
            ("scored by", self.scored_by),
            ("answered", self.answered),
            ("right answers", "; ".join(self.right_answers)),
        ]
        return [*pairs, ("tokens of a training example", self.length)] if self.lengths else pairs

    def lines(self) -> Iterator[str]:
        """Write out facts, notes and prompts."""
        yield self.name
        yield from (f"  {name}: {value}" for name, value in self.facts)
        yield from (f"  {note}" for note in self.notes)
        for prompt in self.prompts:
            yield ""
            yield from prompt.lines()


@dataclass(frozen=True, kw_only=True)
class Preview(Brief):
    """What a model sees of tasks, before anything is trained.

    Parameters
    ----------
    title : str
        Of the study, or of the data.
    date : str
        Of the page.
    model : str
        The model, as it was named.
    tasks : tuple of TaskPreview
        The tasks.
    facts : tuple of (str, str)
        Name and value of what holds for all of them.
    """

    title: str
    date: str
    model: str
    tasks: tuple[TaskPreview, ...]
    facts: tuple[tuple[str, str], ...] = ()

    def sentences(self) -> list[str]:
        """Return what a terminal shows: of many tasks the first ones in full, and of the others the notes."""
        shown, others = self.tasks[:_IN_FULL], self.tasks[_IN_FULL:]
        lines = [f"{self.title}: {count(len(self.tasks), 'task')} as {self.model} reads them"]
        lines += [f"{name}: {value}" for name, value in self.facts]
        for task in shown:
            lines += ["", *task.lines()]
        if others:
            names = ", ".join(task.name for task in others)
            lines += ["", f"{len(others)} more, in full by --task NAME or --html FILE: {names}"]
            told = {task.name: (*task.notes, *task.gold) for task in others}
            lines += [f"  {line}" for line in note_lines(told)]
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self) | {"facts": dict(self.facts)}


def visible(text: str) -> str:
    """Return a token's text with blanks of every kind but the plain one made visible."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def _marked(token: ShownToken) -> str:
    return f"[{visible(token.text)}]" if token.learned else visible(token.text)


def _wrapped(pieces: Sequence[str]) -> Iterator[str]:
    """Yield tokens with strokes between, in lines that end between two of them."""
    line: list[str] = []
    for piece in pieces:
        if line and sum(map(len, line)) + len(line) + len(piece) > _WIDTH:
            yield f"  {'|'.join(line)}"
            line = []
        line.append(piece)
    yield f"  {'|'.join(line)}"

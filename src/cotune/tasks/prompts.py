"""Prompts: what a model is trained on and scored with, as one text or as turns of a chat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.tasks._names import suggest
from cotune.tasks._task import Example, Task, Turn


@dataclass(frozen=True, slots=True)
class PromptFormat(Brief):
    """How instruction, demonstrations and input become one text.

    Parameters
    ----------
    question : str
        What one input becomes; ``{input}`` stands for it.
    separator : str
        Stands between instruction, demonstrations and input.
    lists_choices : bool
        Whether the answers of a classification task are listed under the instruction.
    stops : tuple of str
        What the next prompt of the format would open with, where a model goes on after its answer; empty
        where nothing tells a next prompt from an answer of several lines.
    """

    question: str
    separator: str
    lists_choices: bool
    stops: tuple[str, ...]

    def answer(self, text: str) -> str:
        """Return what of a generated text is the answer: up to the first stop, without outer blanks."""
        return cut_answer(text, self.stops)


FORMATS: dict[str, PromptFormat] = {
    "default": PromptFormat("Input: {input}\nOutput:", "\n\n", lists_choices=True, stops=("\n\nInput:",)),
    "plain": PromptFormat("{input}", "\n", lists_choices=False, stops=()),
    "qa": PromptFormat("{input}", "\n", lists_choices=False, stops=("\nQ:",)),
    "translation": PromptFormat("{input}", "\n", lists_choices=False, stops=("\nTranslate",)),
    "summarization": PromptFormat("{input}", "\n", lists_choices=False, stops=("\nArticle:",)),
}
"""The formats a task may name.

"plain" adds nothing to inputs whose template says it all already. "qa", "translation" and "summarization" add
nothing either, and end an answer where the model opens the next prompt, as the ProMoT paper does (appendix
A.1, "the second prefix token"). Where the answers of a task end, :func:`stops_of` tells.
"""

LINE_BREAK = "\n"


def get_format(name: str) -> PromptFormat:
    """Return the prompt format of a name.

    Raises
    ------
    InputError
        If there is no such format; names the nearest one.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise InputError(f"'{name}' is not a prompt format; {suggest(name, FORMATS)}") from None


def format_prompt(
    instruction: str,
    input: str,
    choices: Sequence[str] = (),
    demonstrations: Sequence[Example] = (),
    format: str = "default",
) -> str:
    r"""Return the prompt of one input: instruction, options, demonstrations, input, in a format.

    Parameters
    ----------
    instruction : str
        What the task asks for; left out where it is empty.
    input : str
        The input to answer.
    choices : sequence of str
        The closed set of answers.
    demonstrations : sequence of Example
        Solved examples between instruction and input, each with its first target (k-shot prompting).
    format : str
        A key of :data:`FORMATS`.

    Returns
    -------
    str
        What follows it in training is :func:`format_target`.

    Examples
    --------
    >>> format_prompt("Name the capital.", "France")
    'Name the capital.\n\nInput: France\nOutput:'
    """
    style = get_format(format)
    header = _header(instruction, choices, style)
    solved = [
        style.question.format(input=example.input) + format_target(example.targets[0])
        for example in demonstrations
    ]
    return style.separator.join([*([header] if header else []), *solved, style.question.format(input=input)])


def _header(instruction: str, choices: Sequence[str], style: PromptFormat) -> str:
    options = f"Options: {', '.join(choices)}" if choices and style.lists_choices else ""
    return "\n".join(part for part in (instruction, options) if part)


def format_turns(
    instruction: str,
    asked: Sequence[Turn],
    choices: Sequence[str] = (),
    demonstrations: Sequence[Example] = (),
    format: str = "default",
) -> tuple[Turn, ...]:
    """Return the same as turns of a chat: a system text, solved examples, and what is asked.

    Who speaks is said by the turns, so that a format's "Input:" and "Output:" are left out.

    Parameters
    ----------
    instruction, choices, demonstrations, format
        See :func:`format_prompt`. Instruction and options are the system text; a system text of what is
        asked follows them, one of a demonstration is the first line of its question.
    asked : sequence of Turn
        The question, with what was said before it.

    Returns
    -------
    tuple of Turn
        The last one is the user's.

    Examples
    --------
    >>> format_turns("Name the capital.", [Turn("user", "France")])  # doctest: +NORMALIZE_WHITESPACE
    (Turn(role='system', text='Name the capital.'), Turn(role='user', text='France'))
    """
    system = [_header(instruction, choices, get_format(format))]
    turns: list[Turn] = []
    for example in demonstrations:
        turns += [*_without_system(turns_of(example)), Turn("assistant", example.targets[0])]
    system += [turn.text for turn in asked if turn.role == "system"]
    turns += [turn for turn in asked if turn.role != "system"]
    opening = "\n".join(filter(None, system))
    return (*([Turn("system", opening)] if opening else []), *turns)


def turns_of(example: Example) -> tuple[Turn, ...]:
    """Return what is said before an example's answer: its turns, or its input as a question."""
    return example.turns or (Turn("user", example.input),)


def _without_system(turns: Sequence[Turn]) -> list[Turn]:
    """Return turns whose system text, if there is one, opens the first question."""
    if turns[0].role != "system":
        return list(turns)
    system, first, *rest = turns
    return [Turn("user", f"{system.text}\n{first.text}"), *rest]


def format_target(target: str) -> str:
    """Return the target as it follows a prompt: with the space that belongs to its first token."""
    return " " + target


def stops_of(task: Task, *, line_breaks: bool = True) -> tuple[str, ...]:
    r"""Return the strings before which an answer to a task ends, if the model does not end it before.

    They are the task's own, if it has any, else the opening of the next prompt of its format, and the end of
    the line where all answers of the task are of one line. A string that one of the task's own answers holds
    is none of them: a right answer is never cut.

    Parameters
    ----------
    task : Task
        The targets and choices of all its splits are its answers.
    line_breaks : bool
        Whether the model's tokenizer writes any. Where it writes a blank for a line break, a blank stands
        before the opening of the next prompt.

    Examples
    --------
    >>> one = Example("France", ("Paris",))
    >>> stops_of(Task("capitals", "", {"train": (one,)}))
    ('\n\nInput:', '\n')
    >>> stops_of(Task("capitals", "", {"train": (one, Example("Bolivia", ("Sucre\nLa Paz",)))}))
    ('\n\nInput:',)
    """
    stops = (*get_format(task.format).stops, LINE_BREAK) if task.stops is None else task.stops
    if not line_breaks:
        written = [(" " if stop[:1] == LINE_BREAK else "") + " ".join(stop.split()) for stop in stops]
        stops = tuple(stop for stop in written if not stop.isspace())
        return tuple(stop for stop in stops if not any(map(task.answers_hold, _read_as(stop))))
    return tuple(stop for stop in stops if not task.answers_hold(stop))


def _read_as(stop: str) -> tuple[str, ...]:
    """Return what a tokenizer without line breaks writes as the stop."""
    return (stop, LINE_BREAK + stop.lstrip(), "\t" + stop.lstrip()) if stop[:1] == " " else (stop,)


def cut_answer(text: str, stops: Sequence[str]) -> str:
    """Return what of a generated text is the answer: up to the first stop, without outer blanks."""
    begun = len(text) - len(text.lstrip())
    # Line breaks before the answer end nothing, but a model that opens the next prompt at once has answered.
    ends = [at for stop in stops if (at := text.find(stop, begun if stop.isspace() else 0)) >= 0]
    return text[: min(ends, default=None)].strip()

"""The default prompt: the text that a model is trained on and scored with."""

from __future__ import annotations

from collections.abc import Sequence

from cotune.tasks._task import Example


def format_prompt(
    instruction: str,
    input: str,
    choices: Sequence[str] = (),
    demonstrations: Sequence[Example] = (),
) -> str:
    r"""Return the prompt of one input: instruction, options, demonstrations, input, parted by empty lines.

    Parameters
    ----------
    instruction : str
        What the task asks for; left out where it is empty.
    input : str
        The input to answer.
    choices : sequence of str
        The closed set of answers, listed under the instruction.
    demonstrations : sequence of Example
        Solved examples between instruction and input, each with its first target (k-shot prompting).

    Returns
    -------
    str
        Ends in ``"Output:"``; what follows in training is :func:`format_target`.

    Examples
    --------
    >>> format_prompt("Name the capital.", "France")
    'Name the capital.\n\nInput: France\nOutput:'
    """
    options = f"Options: {', '.join(choices)}" if choices else ""
    header = "\n".join(part for part in (instruction, options) if part)
    solved = [_question(example.input) + format_target(example.targets[0]) for example in demonstrations]
    return "\n\n".join([*([header] if header else []), *solved, _question(input)])


def format_target(target: str) -> str:
    """Return the target as it follows a prompt: with the space that belongs to its first token."""
    return " " + target


def _question(input: str) -> str:
    return f"Input: {input}\nOutput:"

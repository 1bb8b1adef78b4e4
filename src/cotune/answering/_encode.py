"""From an example to what a model reads: the one place that joins prompt, demonstrations and answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from cotune.exceptions import InputError
from cotune.models import Encoded, Encoder
from cotune.tasks import Example, Task, Turn, format_prompt, format_target, format_turns, turns_of

_ANY = Example("Output:", ()), Task("", "", {}, format="plain")
"""Stand before an answer whose length is asked for; which prompt it is makes no difference."""


def encode_example(
    encoder: Encoder,
    task: Task,
    example: Example,
    target: str | None = None,
    shown: Sequence[Example] = (),
) -> Encoded | None:
    """Encode an example as training, scoring and generation all read it: as one text, or as a chat.

    Parameters
    ----------
    encoder : Encoder
        The model's tokenizer and limits.
    task : Task
        Gives instruction and format.
    example : Example
        Gives the input and the choices listed.
    target : str, optional
        What is learned or scored after the prompt, one of the example's targets or choices.
    shown : sequence of Example
        Demonstrations.

    Returns
    -------
    Encoded or None
        None where the target is longer than the encoder's ``max_target_tokens``.

    Raises
    ------
    InputError
        If the prompt is too long even without any input, or the target has no token; names the task.
    """
    encode = _as_text if encoder.chat is None else _as_chat
    try:
        return encode(encoder, task, example, target, shown)
    except InputError as error:
        asked = f" with {len(shown)} demonstrations" if shown else ""
        raise InputError(f"Task {task.name}{asked}: {error}") from error


def _as_text(
    encoder: Encoder, task: Task, example: Example, target: str | None, shown: Sequence[Example]
) -> Encoded | None:
    render = partial(
        format_prompt, task.instruction, choices=example.choices, demonstrations=shown, format=task.format
    )
    return encoder.encode(render, example.input, None if target is None else format_target(target))


def _as_chat(
    encoder: Encoder, task: Task, example: Example, target: str | None, shown: Sequence[Example]
) -> Encoded | None:
    """Encode an example as turns; a conversation that is too long loses its oldest ones first."""
    *said, asked = turns_of(example)

    def render(text: str) -> tuple[Turn, ...]:
        turns = (*said, Turn("user", text))
        return format_turns(task.instruction, turns, example.choices, shown, task.format)

    if not said:
        return encoder.encode(render, asked.text, target)
    n_tokens = n_whole = encoder.n_tokens(render(asked.text))
    while n_tokens > encoder.max_prompt_tokens and said[-1].role == "assistant":
        first = next(at for at, turn in enumerate(said) if turn.role == "user")
        del said[first : first + 2]  # a question and its answer
        n_tokens = encoder.n_tokens(render(asked.text))
    encoded = encoder.encode(render, asked.text, target)
    return encoded and replace(encoded, n_cut=n_whole - len(encoded.prompt))


def encode_fitting(
    encoder: Encoder, task: Task, example: Example, target: str, shown: Sequence[Example] = ()
) -> Encoded:
    """Encode an example whose answer has to fit.

    Raises
    ------
    InputError
        If it does not; see also :func:`encode_example`.
    """
    encoded = encode_example(encoder, task, example, target, shown)
    if encoded is None:
        raise InputError(
            f"Task {task.name}: the answer {target!r:.60} is longer than max_target_tokens "
            f"{encoder.max_target_tokens}; raise it or leave the task out."
        )
    return encoded


def left_out(encoder: Encoder, task: str, split: str, n_examples: int, n_fitting: int) -> tuple[str, ...]:
    """Say how many examples of a split are dropped, since their target is too long for the model.

    Training and scoring drop the same; said in the same words, it is told once.

    Raises
    ------
    InputError
        If none is left.
    """
    limit = encoder.max_target_tokens
    if not n_fitting:
        raise InputError(
            f"Every {split} example of task {task} has a target of more than max_target_tokens {limit} "
            "tokens; raise it or leave the task out."
        )
    dropped = n_examples - n_fitting
    if not dropped:
        return ()
    kind = f"{n_examples} {split} examples"
    return (f"{dropped} of {kind} have targets of more than {limit} tokens and were dropped.",)


def answer_tokens(encoder: Encoder, text: str) -> tuple[int, ...] | None:
    """Return the tokens of an answer with the end of the sequence; None where it is too long."""
    example, task = _ANY
    encoded = (_as_text if encoder.chat is None else _as_chat)(encoder, task, example, text, ())
    return None if encoded is None else encoded.target

"""What is to be said of how a task is put to a model: as one text or as a chat, and why."""

from __future__ import annotations

from collections.abc import Iterator

from cotune.answering._encode import encode_example
from cotune.models import Encoder
from cotune.models.chat import ChatTemplate
from cotune.tasks import Example, Task, Turn, format_turns


def format_notes(task: Task, encoder: Encoder) -> tuple[str, ...]:
    """Say whether a task is put as a chat, and what of it goes where.

    Parameters
    ----------
    task : Task
        The task.
    encoder : Encoder
        The tokenizer.

    Returns
    -------
    tuple of str
        Nothing where the tokenizer has no chat template, so that there is nothing to choose.
    """
    why = encoder.format.why
    if encoder.chat is not None:
        opens = _of_system(task, encoder.chat)
        of_mask = _of_mask(task, encoder, encoder.chat)
        return (f"put as a chat ({why}), {opens}", *encoder.chat.notes, *of_mask)
    if not encoder.tokenizer.chat_template:
        return ()
    return (f"put as plain text ({why}), though the tokenizer has a chat template",)


def _of_system(task: Task, chat: ChatTemplate) -> str:
    opens = format_turns(task.instruction, (Turn("user", ""),), _first(task).choices, format=task.format)
    said = "its options" if not task.instruction else "its instruction"
    if opens[0].role != "system":
        if not chat.own_system:
            return "without a system text"
        return f"under the template's own system text {chat.own_system!r}"
    if not chat.takes_system:
        return f"{said} before the first question, since the template has no place for a system text"
    return f"{said} as the system text" + (", in place of the template's own" if chat.own_system else "")


def _of_mask(task: Task, encoder: Encoder, chat: ChatTemplate) -> Iterator[str]:
    """Say where other tokens are learned than the template itself marks as the assistant's."""
    example = _first(task)
    if not example.targets:
        return
    said = example.targets[0]
    own = chat.own_mask((Turn("user", example.input), Turn("assistant", said)))
    encoded = None if own is None else encode_example(encoder, task, example, said)
    if own is None or encoded is None:
        return
    theirs = tuple(token for token, marked in zip(*own, strict=True) if marked)
    if theirs != encoded.target:
        ours, others = (
            encoder.tokenizer.decode(tokens).replace(said, "...") for tokens in (encoded.target, theirs)
        )
        yield f"of an answer {ours!r} is learned, where the template itself marks {others!r}"


def _first(task: Task) -> Example:
    return next((example for examples in task.splits.values() for example in examples), Example("", ()))

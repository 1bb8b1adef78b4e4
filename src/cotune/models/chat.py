"""Chat templates: a conversation as the text that a model was tuned on, up to where its answer begins."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.models.chat_sandbox import marks_answers, render_chat, spans_of
from cotune.models.text_tokens import alias, special_tokens
from cotune.tasks import Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ANSWER = "\ufdd2"
"""Stands for what the assistant says; like those below a character that Unicode keeps for uses like this."""
_SYSTEM = "\ufdd3"
_NAME = "\ufdd4"

_TODAY = date(2024, 7, 26)
"""The day that templates are told: a prompt must not change overnight. Llama 3's name it by default."""
_CLOCK = "strftime_now"
"""What templates ask for the date."""


class ChatTemplate(Brief):
    """The chat template of a tokenizer, as ``apply_chat_template`` writes it, under limits.

    What a text spells is text: only the template writes special tokens. An answer ends with the token that
    ends the assistant's turn; what a template writes behind it is not the model's to say.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        A fast tokenizer with a chat template.

    Raises
    ------
    InputError
        If the template cannot be applied, or does not write what the assistant says.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._special = special_tokens(tokenizer)
        names = sorted(self._special, key=len, reverse=True)
        self._numbers = {name: f"{_NAME}{number}{_NAME}" for number, name in enumerate(names)}
        self._names = re.compile("|".join(map(re.escape, names)) or "(?!)")
        self._source = _undated(_source(tokenizer))
        self.takes_system = True
        """Whether it has a place for a system text; else that opens the first question."""
        question = (Turn("user", "a"),)
        opened = self._render(question, opens=True)
        # Some write the same whether they are asked to open an answer or not.
        self._opens = opened != self._render(question)
        before, after = self._around(question)
        self._between = before.removeprefix(opened) if before.startswith(opened) else None
        self.lead = _lead(before, self._between)
        """Blanks between a prompt and its answer, which are the answer's."""
        found = self._names.search(after)
        self._tail = after[: found.end()] if found else ""
        self.end = self._special[found.group()] if found else int(tokenizer.eos_token_id)
        """The token that ends an answer."""
        self.takes_system = self._takes_system()
        self.own_system = self._own_system() if self.takes_system else ""
        """The system text that it writes where none is given."""

    @property
    def tokens(self) -> Mapping[str, int]:
        """The special tokens that it may write, and their ids."""
        return self._special

    def prompt(self, turns: Sequence[Turn]) -> str:
        """Return what a model reads before it answers, special tokens under their aliases.

        Parameters
        ----------
        turns : sequence of Turn
            The last one is the user's.

        Raises
        ------
        InputError
            If the template refuses them.
        """
        return self._text(self._before(turns))

    def answer(self, text: str) -> str:
        """Return an answer as it follows the prompt, up to the token that ends it."""
        return self.lead + text.strip() + self._text(self._tail)

    def spelled(self, turns: Sequence[Turn]) -> str:
        """Return what a model reads before it answers, as ``apply_chat_template`` writes it."""
        return self._restored(self._before(turns))

    @property
    def ends_at_once(self) -> bool:
        """Whether nothing stands between an answer and the token that ends it."""
        return self._names.fullmatch(self._tail) is not None

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for everything that it does beside putting turns around texts."""
        notes = []
        if self._opens and self._between and not self._between.isspace():
            notes.append(f"every answer follows {self._between!r}, which the template puts before the last")
        elif self._opens and self._between is None:
            notes.append("answers follow what the template's own turns open with, not its generation prompt")
        if _CLOCK in self._source:
            notes.append(f"the template writes the date, which is always {_TODAY:%d %B %Y} here")
        if not self._tail:
            notes.append("the template ends turns with no token, so that answers end as any text does")
        return tuple(notes)

    def own_mask(self, turns: Sequence[Turn]) -> tuple[list[int], list[int]] | None:
        """Return the tokens of a conversation and the template's mask of what the assistant says.

        None where the template does not mark that by ``{% generation %}``.
        """
        if not marks_answers(self._source):
            return None
        text, spans = spans_of(self._render(turns, marks=True))
        found = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = list(found["input_ids"]), found["offset_mapping"]
        mask = [int(any(begin < stop and end > start for start, stop in spans)) for begin, end in offsets]
        return ids, mask

    def _before(self, turns: Sequence[Turn]) -> str:
        before, after = self._around(turns)
        if not before.endswith(self.lead) or not after.startswith(self._tail):
            raise InputError(
                "The chat template of the model writes this answer otherwise than others: before it "
                f"{before[-20:]!r}, after it {after[:20]!r}; use format: plain."
            )
        return before.removesuffix(self.lead)

    def _around(self, turns: Sequence[Turn]) -> tuple[str, str]:
        """Return what the template writes before and after an answer to the last turn."""
        text = self._render([*turns, Turn("assistant", _ANSWER)])
        before, found, after = text.rpartition(_ANSWER)
        if not found:
            raise InputError("The chat template of the model does not write what the assistant says.")
        return before, after

    def _render(self, turns: Sequence[Turn], *, opens: bool = False, marks: bool = False) -> str:
        messages, special = self._messages(turns), self._tokenizer.special_tokens_map
        try:
            return render_chat(self._source, messages, special, opens=opens, marks=marks)
        except MemoryError:
            raise
        except Exception as error:  # a template is a program, which may raise anything
            raise _refused("applied", error) from error

    def _messages(self, turns: Sequence[Turn]) -> list[dict[str, str]]:
        if turns[0].role == "system" and not self.takes_system:
            system, first, *rest = turns
            turns = [Turn(first.role, f"{system.text}\n\n{first.text}".strip()), *rest]
        return [{"role": role, "content": self._names.sub(self._hidden, text)} for role, text in turns]

    def _takes_system(self) -> bool:
        try:
            return _SYSTEM in self._render([Turn("system", _SYSTEM), Turn("user", "a")])
        except InputError:
            return False

    def _own_system(self) -> str:
        given = self._render([Turn("system", _SYSTEM), Turn("user", "a")])
        alone = self._render([Turn("user", "a")])
        before, _, after = given.partition(_SYSTEM)
        if len(alone) < len(before + after) or not (alone.startswith(before) and alone.endswith(after)):
            return ""
        return alone[len(before) : len(alone) - len(after)].strip()

    def _hidden(self, found: re.Match[str]) -> str:
        return self._numbers[found.group()]

    def _text(self, rendered: str) -> str:
        """Return what was rendered with the template's special tokens under aliases, all others as text."""
        return self._restored(self._names.sub(lambda found: alias(found.group()), rendered))

    def _restored(self, rendered: str) -> str:
        if _NAME in rendered:
            for name, number in self._numbers.items():
                rendered = rendered.replace(number, name)
        return rendered

    def __repr_args__(self) -> Any:
        yield "", self._tokenizer.name_or_path
        yield "end", self._tokenizer.convert_ids_to_tokens(self.end)
        yield "takes_system", self.takes_system


def _lead(before: str, between: str | None) -> str:
    """Return the blanks at the end of what stands before an answer that belong to the answer."""
    if between is not None and between.isspace():
        return between
    # A blank is part of the word that follows it; a line break is not.
    return before[len(before.rstrip(" ")) :]


def _source(tokenizer: PreTrainedTokenizerBase) -> str:
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:  # of several templates none is the default
        raise _refused("chosen", error) from error


def _refused(what: str, error: Exception) -> InputError:
    reason = shorten(str(error), 160, placeholder="...").rstrip(".")
    return InputError(f"The chat template of the model cannot be {what}: {reason}.")


def _undated(source: str) -> str:
    """Return a template with a clock of its own, if it asks for one: transformers takes none from outside."""
    if _CLOCK not in source:
        return source
    codes = ("%d", "%-d", "%b", "%B", "%m", "%Y", "%y", "%a", "%A", "%j", "%H", "%M", "%S")
    replaced = "".join(f" | replace('{code}', '{_TODAY.strftime(code)}')" for code in codes)
    return f"{{%- macro {_CLOCK}(format) -%}}{{{{ format{replaced} }}}}{{%- endmacro -%}}{source}"

"""Conversations: `messages` of roles, and ShareGPT's `conversations`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from cotune._json import parse_json
from cotune.exceptions import InputError
from cotune.tasks._task import Turn
from cotune.tasks.readers.containers import Row
from cotune.tasks.readers.shapes._base import Fields, Shape, value_of

FIELDS = ("messages", "conversations", "conversation", "dialog", "chat")
"""Fields that hold a conversation."""

_Role = Literal["user", "assistant", "system", "tool"]
_ROLES: dict[_Role, tuple[str, ...]] = {
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "chatgpt", "model", "bot", "ai", "bing", "bard"),
    "system": ("system", "developer"),
    "tool": (
        *("tool", "function", "observation", "function_call", "tool_call", "ipython", "tool_response"),
        *("function_response", "tool_result", "environment"),
    ),
}
_ROLE_OF = {name: role for role, names in _ROLES.items() for name in names}
_CALLS = ("tool_calls", "function_call")


class Chat(Shape):
    """Conversations, every answer of the assistant an example whose input is what was said before.

    Parameters
    ----------
    fields : sequence of str
        Those that hold the messages, one after the other.
    system : str or None
        The field of a system text, if it stands apart.
    turns : {"all", "last"}
        Which answers of a conversation are examples.
    """

    def __init__(self, fields: Sequence[str], system: str | None, turns: Literal["all", "last"]) -> None:
        super().__init__(f"conversations ({' and '.join(fields)})", [*fields, *([system] if system else [])])
        self.fields, self.system, self.turns = tuple(fields), system, turns
        self._several = self._earlier = self._on_tools = 0

    @classmethod
    def of(cls, fields: Fields, turns: Literal["all", "last"]) -> Chat | None:
        """Return the shape of a table, if it is one."""
        both = fields.all_of(("prompt", "completion"))
        held = fields.first_of(FIELDS)
        for names in (both, (held,) if held else ()):
            if names and all(any(map(_is_conversation, fields.values(name)[:20])) for name in names):
                return cls(names, fields.first_of(("system",), rare=True), turns)
        return None

    def unfold(self, where: str, row: Mapping[str, Any]) -> Iterator[Row]:
        """Yield an example for every answer, or for the last."""
        messages = [message for field in self.fields for message in _messages(where, row, field)]
        system = [_text(where, row[self.system])] if self.system and row.get(self.system) else []
        said: list[Turn] = []
        answers: list[tuple[str, str, tuple[Turn, ...]]] = []
        on_tools = 0
        rests_on_tool = False
        for message in messages:
            role, value = _role(where, message)
            if role == "tool" or any(message.get(call) for call in _CALLS):
                rests_on_tool = True
                continue
            text = _text(where, value)
            if role == "system":
                system.append(text)
                continue
            if role == "user":
                rests_on_tool = False
            elif text and any(turn.role == "user" for turn in said):
                on_tools += rests_on_tool
                if not rests_on_tool and message.get("weight", 1) != 0:
                    answers.append((_rendered(said), text, _alternating(said)))
            said.append(Turn(role, text))
        self._on_tools += on_tools
        if not answers:
            why = ", but for what rests on the result of a tool" if on_tools else ""
            raise InputError(f"{where} has no answer of an assistant to a user{why}.")
        self._several += len(answers) > 1
        if self.turns == "last":
            self._earlier += len(answers) - 1
            answers = answers[-1:]
        whole = next(turn.text for turn in said if turn.role == "user")
        of_all = {"instruction": "\n".join(system), "whole": whole}
        for number, (input, answer, turns) in enumerate(answers, start=1):
            each = f"{where}, answer {number}" if len(answers) > 1 else where
            yield each, {**of_all, "input": input, "target": answer, "turns": turns}

    @property
    def notes(self) -> tuple[str, ...]:
        """Which answers are examples, where a conversation has several, and those that rest on tools."""
        notes = []
        if self._several and self.turns == "all":
            notes.append(
                f"{self._several} conversations have several answers, each an example with what was said "
                "before as its input (turns: last takes the last alone)"
            )
        if self._earlier:
            notes.append(
                f"{self._earlier} earlier answers stand in inputs alone (turns: all makes each an example)"
            )
        if self._on_tools:
            notes.append(
                f"{self._on_tools} answers that rest on the result of a tool, and all calls, passed over"
            )
        return tuple(notes)


def _is_conversation(value: Any) -> bool:
    value = _parsed(value)
    return isinstance(value, list) and bool(value) and all(map(_is_message, value))


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and ("role" in value or "from" in value)


def _parsed(value: Any) -> Any:
    """Return a list that a table of texts holds as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return parse_json(value)
        except ValueError:
            return value
    return value


def _messages(where: str, row: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    value = _parsed(value_of(where, row, field))
    if not isinstance(value, list) or not all(map(_is_message, value)):
        raise InputError(
            f"{where} must have a list of messages under '{field}', such as "
            '{"role": "user", "content": "Hello"}.'
        )
    return value


def _role(where: str, message: Mapping[str, Any]) -> tuple[_Role, Any]:
    name = str(message["role"] if "role" in message else message["from"])
    role = _ROLE_OF.get(name.strip().lower())
    if role is None:
        raise InputError(
            f"{where} has a message of '{name}'; those of user, assistant, system and tool are known."
        )
    return role, message.get("content", message.get("value", message.get("text")))


def _text(where: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list) and all(isinstance(part, Mapping) for part in value):
        if all(part.get("type", "text") == "text" and isinstance(part.get("text"), str) for part in value):
            return "\n".join(part["text"] for part in value).strip()
        raise InputError(f"{where} has a message with more than text, such as an image.")
    raise InputError(f"{where} has a message whose content is no text.")


def _rendered(said: Sequence[Turn]) -> str:
    """Return what was said before an answer: a single question as it is, else who said what."""
    if [turn.role for turn in said] == ["user"]:
        return said[0].text
    return "\n".join(f"{turn.role.capitalize()}: {turn.text}" for turn in said)


def _alternating(said: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return questions and answers in turns; nothing for a single question, or where they do not alternate.

    What one side says in several messages is one turn. Chat templates know of no answer before a question and
    of none without: there the text has to do.
    """
    turns = [
        Turn(role, "\n".join(turn.text for turn in of_role))
        for role, of_role in groupby(said, key=lambda turn: turn.role)
    ]
    alternate = len(turns) % 2 and turns[0].role == "user"
    return tuple(turns) if alternate and len(said) > 1 else ()

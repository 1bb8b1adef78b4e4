"""Text as tokens: what a text spells is text, and what follows a prompt is read as its continuation."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from unicodedata import normalize

from tokenizers import AddedToken, Encoding, Tokenizer
from tokenizers.models import Model, WordLevel

from cotune.exceptions import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_NEAR = 48
"""Characters of a prompt that are read again with what follows: some ten tokens."""


class TextTokens:
    """Reads texts with a model's tokenizer, and no text as one of its special tokens.

    A special token closes a sequence, fills a gap or parts the turns of a chat; "</s>" in somebody's input
    does none of that. Of the special tokens only those that are nothing but whitespace are found in texts,
    such as the line's end that closes a line: text has no other way to spell them. Other tokens added to the
    vocabulary are ordinary text. The tokens around a sequence are :func:`around`, not in here.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        A fast tokenizer. It stays as it is: a second one around the same vocabulary reads the texts.
    own : mapping of str to int, optional
        Special tokens that we write into texts ourselves, by the names of :func:`alias`, and their ids.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, own: Mapping[str, int] | None = None) -> None:
        backend: Tokenizer = tokenizer.backend_tokenizer
        added = backend.get_added_tokens_decoder()
        special = special_tokens(tokenizer)
        self._text = Tokenizer(_without(backend, special))
        self._text.normalizer, self._text.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
        # Without the post-processor, which would add the tokens around a sequence and trim offsets.
        kept = {at: token for at, token in added.items() if token.content not in special}
        for name, at in (own or {}).items():
            kept[at] = _renamed(added.get(at, AddedToken(name)), alias(name))
        self._text.add_tokens(list(kept.values()))
        ids = {self._text.token_to_id(token.content): at for at, token in kept.items()}
        self._ids = {here: there for here, there in ids.items() if here != there}
        self._backend = backend
        self._unknown = {tokenizer.unk_token_id, _unknown(backend)}

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text by itself.

        Raises
        ------
        InputError
            If the tokenizer cannot read it: half a surrogate pair, or an unknown word where none may be.
        """
        return self._real(self._encoded(text).ids)

    def starts(self, text: str) -> list[int]:
        """Return where in a text its tokens begin."""
        return [start for start, _ in self._encoded(text).offsets]

    def continuation(self, prompt: str, before: list[int], text: str) -> list[int]:
        """Return the tokens of a text that goes on from a prompt, whose own tokens (before) stay as they are.

        Both are read at once, and what follows the prompt's tokens is the continuation. Where a token would
        lie across the seam, the text is read after something else, or alone: in whichever way the tokens
        spell the text best, since a tokenizer may write a blank before all that stands first.
        """
        near = prompt[max(prompt.rfind(" ", 0, -_NEAR), 0) :]
        if len(near) < len(prompt) // 2:
            # What is far from the seam does not matter, and takes as long again: the end will do, if it reads
            # as it does in its place.
            end = self.ids(near)
            half = len(end) // 2
            after = self._after(near, end, text) if half and end[-half:] == before[-half:] else []
            if after:
                return after
        after = self._after(prompt, before, text)
        if after:
            return after
        whole = self._spelled(self.ids(prompt + text))
        ways = [way for way in self._ways(prompt, text) if way]
        return next((way for way in ways if self._spelled([*before, *way]) == whole), next(iter(ways), []))

    def _after(self, prompt: str, before: list[int], text: str) -> list[int]:
        """Return what follows the prompt's tokens where both are read at once, nothing where these differ."""
        joint = self._encoded(prompt + text)
        ids, seam = self._real(joint.ids), len(before)
        if ids[:seam] != before:
            return []
        if seam and ids[seam - 1] in self._unknown and joint.offsets[seam - 1][1] > len(prompt):
            # What is unknown on either side has become one unknown token.
            return []
        return ids[seam:]

    def _ways(self, prompt: str, text: str) -> Iterator[list[int]]:
        yield self.ids(text)
        for anchor in (prompt[-1:], "\n", "a", ":", "1"):
            yield self._after(anchor, self.ids(anchor), text)

    def _spelled(self, ids: Sequence[int]) -> str:
        return normalize("NFC", self._backend.decode(ids, skip_special_tokens=False))

    def _encoded(self, text: str) -> Encoding:
        try:
            return self._text.encode(text)
        except Exception as error:  # the library raises Exception itself
            raise InputError(f"The model's tokenizer cannot read {text[:60]!r}: {error}.") from error

    def _real(self, ids: list[int]) -> list[int]:
        return [self._ids.get(at, at) for at in ids] if self._ids else ids


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Return the special tokens that are more than whitespace, and their ids."""
    named = set(tokenizer.all_special_tokens)
    return {
        token.content: at
        for at, token in tokenizer.backend_tokenizer.get_added_tokens_decoder().items()
        if (token.special or token.content in named) and not token.content.isspace()
    }


def alias(name: str) -> str:
    """Return what a special token is called in the texts that we write it into: no text contains that.

    The characters around the name are among those that Unicode reserves for uses such as this one.
    """
    return f"\ufdd0{name}\ufdd1" if name else ""


def around(tokenizer: PreTrainedTokenizerBase, *, target: bool = False) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer puts before and after a sequence.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        A fast tokenizer.
    target : bool
        Whether the sequence is what an encoder-decoder model writes; some open it with its language.
    """
    if target and hasattr(tokenizer, "_switch_to_target_mode"):
        tokenizer._switch_to_target_mode()
    try:
        processor = tokenizer.backend_tokenizer.post_processor
        if processor is None:
            return [], []
        done = processor.process(Tokenizer(WordLevel({"x": 0}, unk_token="x")).encode("x"))
    finally:
        if target and hasattr(tokenizer, "_switch_to_input_mode"):
            tokenizer._switch_to_input_mode()
    at = done.special_tokens_mask.index(0)
    return done.ids[:at], done.ids[at + 1 :]


def _without(backend: Tokenizer, special: dict[str, int]) -> Model:
    """Return the tokenizer's model; one that would write special tokens by itself gets them renamed."""
    taken = {name for name, at in special.items() if _writes(backend.model, name, at)}
    if not taken:
        return cast(Model, backend.model)
    model = json.loads(backend.to_str())["model"]
    if isinstance(model["vocab"], dict):
        model["vocab"] = {_name(token, taken): at for token, at in model["vocab"].items()}
    else:
        model["vocab"] = [[_name(token, taken), score] for token, score in model["vocab"]]
    if model.get("unk_token") in taken:
        model["unk_token"] = alias(model["unk_token"])
    if "merges" in model:
        prefix = len(model.get("continuing_subword_prefix") or "")
        pairs = (pair.split(" ", 1) if isinstance(pair, str) else pair for pair in model["merges"])
        model["merges"] = [
            [left, right] for left, right in pairs if taken.isdisjoint((left, right, left + right[prefix:]))
        ]
    renamed = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    return cast(Model, renamed.model)


def _writes(model: Model, name: str, at: int) -> bool:
    try:
        return any(token.id == at for token in model.tokenize(name))
    except Exception:  # the library raises Exception itself where a word is unknown
        return False


def _name(token: str, taken: Collection[str]) -> str:
    return alias(token) if token in taken else token


def _renamed(token: AddedToken, name: str) -> AddedToken:
    return AddedToken(name, lstrip=token.lstrip, rstrip=token.rstrip, normalized=False)


def _unknown(backend: Tokenizer) -> Any:
    """Return the token of what the model does not know, None where it knows everything."""
    name = getattr(backend.model, "unk_token", None)
    return getattr(backend.model, "unk_id", None) if name is None else backend.token_to_id(name)

"""From text to tokens: prompts cut to fit, targets marked, so that only they are learned and scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cotune._repr import Brief
from cotune.exceptions import InputError
from cotune.models.chat import ChatTemplate
from cotune.models.formats import PLAIN, ChosenFormat
from cotune.models.loading import hub_options, loading
from cotune.models.profiles import PROFILES, Profile, ProfileName, choose_profile
from cotune.models.text_tokens import TextTokens, alias, around
from cotune.tasks import Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Prompt: TypeAlias = str | tuple[Turn, ...]
"""What is asked: a text, or the turns of a chat."""


@dataclass(frozen=True, slots=True)
class Encoded(Brief):
    """A prompt and its target as token ids.

    Parameters
    ----------
    prompt : tuple of int
        What the model conditions on.
    target : tuple of int
        What is learned and scored, with the end-of-sequence token; empty for a prompt to generate from.
    n_cut : int
        Tokens the prompt lost when the end of the example's input was cut so that it fits.
    n_end : int
        Tokens of the target that come after the answer, to end it.
    """

    prompt: tuple[int, ...]
    target: tuple[int, ...]
    n_cut: int = 0
    n_end: int = field(default=1, compare=False)

    def __len__(self) -> int:
        """Return the number of tokens a training step on the example processes."""
        return len(self.prompt) + len(self.target)

    def under(self, ids: tuple[int, ...]) -> Encoded:
        """Return the example with the token ids of a soft prompt before it."""
        return replace(self, prompt=(*ids, *self.prompt)) if ids else self


class Encoder(Brief):
    """Turns prompts and targets into token ids for one model.

    A prompt that is a text has the tokens it has alone, with those that the tokenizer opens a sequence with:
    training thus sees what generation will meet. A causal model's prompt is never closed. A target has the
    tokens that go on from there, and the end-of-sequence token, once. An empty prompt where the tokenizer
    opens nothing is the token that begins a sequence, or else the one that ends the sequence before. A text
    that spells a special token is text.

    A prompt of turns has the tokens that the chat template's text has, no others around it, and ends where
    the assistant's answer begins. Its target goes on from there to the token that ends the assistant's turn.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        A fast tokenizer.
    seq2seq : bool
        Encoder-decoder models read the prompt and write the target as two sequences.
    max_prompt_tokens, max_target_tokens : int
        A longer prompt has the example's input cut at its end, the instruction stays; an example with a
        longer target does not fit (:meth:`encode` returns None), since half a target would teach to stop
        early.
    profile : Profile
        What the model's family adds to prompts and targets.
    vocabulary_size : int, optional
        Number of tokens that the model has embeddings for; an example with any other is refused. By default
        all that the tokenizer knows.
    format : ChosenFormat
        Whether tasks are put as texts or as chats, and why.

    Raises
    ------
    InputError
        If the tokenizer is a slow one, has no end-of-sequence token or lacks the profile's tokens, or if
        the profile is one of encoder-decoder models and the model is none; for chats, if the tokenizer has no
        chat template that can be applied, or the model is an encoder-decoder model.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        seq2seq: bool = False,
        max_prompt_tokens: int = 512,
        max_target_tokens: int = 128,
        profile: Profile = PROFILES["plain"],
        vocabulary_size: int | None = None,
        format: ChosenFormat = PLAIN,
    ) -> None:
        if not tokenizer.is_fast:
            raise InputError("The model's tokenizer is a slow one; a fast one (tokenizer.json) is needed.")
        if tokenizer.eos_token_id is None:
            raise InputError(
                "The model's tokenizer has no end-of-sequence token, so no target can be closed."
            )
        self.tokenizer = tokenizer
        self.seq2seq = seq2seq
        self.max_prompt_tokens = max_prompt_tokens
        self.max_target_tokens = max_target_tokens
        self.profile = profile
        self.vocabulary_size = vocabulary_size
        if profile.opening and not seq2seq:
            raise InputError("The profile sentinel is for encoder-decoder models; a causal one needs plain.")
        self._opening, self._closing = map(self._token, (profile.opening, profile.closing))
        own = {profile.opening: self._opening, profile.closing: self._closing}
        self._dress = profile.renamed({name: alias(name) for name in own if name})
        self.format = format
        self.chat = self._chat() if format.chat else None
        """What puts turns as a chat; None where tasks are put as texts."""
        written = {name: at for name, at in own.items() if at is not None}
        self._text = TextTokens(tokenizer, written | dict(self.chat.tokens if self.chat else {}))
        self._before, after = around(tokenizer)
        self._after = after if seq2seq else []
        self._before_target = around(tokenizer, target=True)[0] if seq2seq else []
        self._end = int(tokenizer.eos_token_id)
        begin = tokenizer.bos_token_id
        self._begin = self._end if begin is None or seq2seq else int(begin)
        self._last: tuple[str, list[int]] = ("", [])
        # Where tokens hold their blanks, taking those before full stops away would change the answer.
        holds_blanks = type(tokenizer.backend_tokenizer.model).__name__ in ("BPE", "Unigram")
        self._clean_up = False if holds_blanks else None

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield "", self.tokenizer.name_or_path
        shown = ("seq2seq", "max_prompt_tokens", "max_target_tokens", "profile")
        yield from ((name, getattr(self, name)) for name in shown)
        if self.chat is not None:
            yield "chat", self.chat

    @property
    def end_tokens(self) -> set[int]:
        """Tokens after which nothing of an answer follows."""
        others = (self._closing, None if self.chat is None else self.chat.end)
        return {self._end, *(token for token in others if token is not None)}

    @cached_property
    def line_breaks(self) -> bool:
        """Whether the tokenizer writes line breaks: many of encoder-decoder models write blanks instead."""
        return any("\n" in self.decode(self.tokens(text)) for text in ("a\na", "1\n1"))

    def encode(self, render: Callable[[str], Prompt], text: str, target: str | None = None) -> Encoded | None:
        """Encode one example.

        Parameters
        ----------
        render : callable
            Puts an input text into the prompt format: ``render(text)`` is the whole prompt, a text or turns.
        text : str
            The example's input, cut at its end when the prompt is too long.
        target : str, optional
            The output to learn or score, as it follows the prompt: with its leading space, if that is a text.

        Returns
        -------
        Encoded or None
            None when the target alone is longer than ``max_target_tokens``.

        Raises
        ------
        InputError
            If the prompt is too long even without any input, the target has no token of its own, or the
            model has no embedding of one of the tokens.
        """
        asked = render(text)
        prompt, answer = self._both(asked, target)
        if target is not None and not self.decode(answer):
            raise InputError(
                f"The target {target.strip()!r} tokenises to nothing the model could learn or be scored on; "
                "give it a text that the model's tokenizer knows."
            )
        n_whole = len(prompt)
        while len(prompt) > self.max_prompt_tokens and len(answer) <= self.max_target_tokens:
            if not text:
                begin = _begin(render(""))
                raise InputError(
                    f"A prompt without any input takes {len(prompt)} tokens, more than max_prompt_tokens "
                    f"{self.max_prompt_tokens}; raise it or shorten the instruction: {begin!r}..."
                )
            text = self._cut(text, len(prompt) - self.max_prompt_tokens)
            prompt, answer = self._both(render(text), target)
        if len(answer) > self.max_target_tokens:
            return None
        if self.vocabulary_size is not None and max((*prompt, *answer), default=0) >= self.vocabulary_size:
            raise self._unknown([*prompt, *answer])
        n_end = 1 if target is None else self._n_end(render(text), target, answer)
        return Encoded(tuple(prompt), tuple(answer), n_whole - len(prompt), n_end)

    def n_tokens(self, prompt: Prompt) -> int:
        """Return how many tokens a prompt has, uncut."""
        return len(self._both(prompt, None)[0])

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the answer that generated tokens hold, without special tokens and outer blanks."""
        ends = {self._end, self._end if self.chat is None else self.chat.end}
        answer = list(takewhile(lambda token: token not in ends, tokens))
        if self._opening in answer:
            answer = answer[answer.index(self._opening) + 1 :]
        if self._closing in answer:
            answer = answer[: answer.index(self._closing)]
        text = self.tokenizer.decode(
            answer, skip_special_tokens=True, clean_up_tokenization_spaces=self._clean_up
        )
        return str(text).strip()

    def tokens(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text by itself, without any before or after it."""
        return tuple(self._text.ids(text))

    def _unknown(self, ids: Sequence[int]) -> InputError:
        token = max(ids)
        name = self.tokenizer.convert_ids_to_tokens(token)
        return InputError(
            f"The model has no embedding of {name!r}, token {token} of its tokenizer: it knows "
            f"{self.vocabulary_size} tokens; resize its embeddings, or take the token from its tokenizer."
        )

    def _token(self, text: str) -> int | None:
        """Return the id of one of the profile's tokens, None where the profile has none."""
        if not text:
            return None
        vocabulary = self.tokenizer.get_vocab()
        if text not in vocabulary:
            raise InputError(
                f"The model's tokenizer has no token {text!r}, which the profile sentinel needs; use the "
                "profile plain."
            )
        return int(vocabulary[text])

    def _chat(self) -> ChatTemplate:
        if self.seq2seq:
            raise InputError("format: chat is for causal models; an encoder-decoder one needs format: plain.")
        if not self.tokenizer.chat_template:
            raise InputError(
                f"format: chat needs a chat template, and the tokenizer of {self.tokenizer.name_or_path} has "
                "none; use format: plain, or put a chat_template.jinja beside the tokenizer."
            )
        return ChatTemplate(self.tokenizer)

    def _n_end(self, asked: Prompt, target: str, answer: list[int]) -> int:
        """Count the tokens that end an answer: some chat templates write a blank before the last."""
        if isinstance(asked, str) or self.chat is None or self.chat.ends_at_once:
            return 1
        prompt = self.chat.prompt(asked)
        bare = self._text.continuation(prompt, self._read(prompt), self.chat.lead + target.strip())
        return len(answer) - len(bare) if answer[: len(bare)] == bare else 1

    def _read(self, text: str) -> list[int]:
        if self._last[0] != text:
            # The choices of one input follow one prompt.
            self._last = (text, self._text.ids(text))
        return self._last[1]

    def _both(self, prompt: Prompt, target: str | None) -> tuple[list[int], list[int]]:
        if not isinstance(prompt, str):
            return self._both_of_chat(prompt, target)
        read = self._read(self._dress.prompt(prompt))
        ids = [*self._before, *read, *self._after] or [self._begin]
        if target is None:
            return ids, []
        if self.seq2seq:
            answer = [*self._before_target, *self._text.ids(self._dress.target(target.strip()))]
        else:
            answer = self._text.continuation(prompt, read, target)
        # Where the token that ends a line ends a sequence, a text may hold it: an answer cannot.
        return ids, [*(token for token in answer if token != self._end), self._end]

    def _both_of_chat(self, turns: Sequence[Turn], target: str | None) -> tuple[list[int], list[int]]:
        assert self.chat is not None, "turns are put by a chat template"
        prompt = self.chat.prompt(turns)
        read = self._read(prompt)
        if target is None:
            return read, []
        end = self.chat.end
        answer = self._text.continuation(prompt, read, self.chat.answer(target))
        return read, [*(token for token in answer if token != end), end]

    def _cut(self, text: str, n_tokens: int) -> str:
        """Take at least one and about ``n_tokens`` tokens off the end of a text."""
        starts = self._text.starts(text)
        keep = len(starts) - n_tokens
        # A token without width may begin where the text ends.
        return text[: min(starts[keep], len(text) - 1) if keep > 0 else 0].rstrip()


def load_encoder(
    model: Path | str,
    *,
    revision: str | None = None,
    trusted: bool = False,
    max_prompt_tokens: int = 512,
    max_target_tokens: int = 128,
    profile: ProfileName = "auto",
    format: ChosenFormat = PLAIN,
) -> Encoder:
    """Load a checkpoint's tokenizer, without its weights.

    Parameters
    ----------
    model : Path or str
        A folder (then no hub is asked), or a hub name.
    revision : str, optional
        Branch, tag or commit on the hub.
    trusted : bool
        Whether code that comes with it runs; see :func:`cotune.models.loading.check_code`.
    max_prompt_tokens, max_target_tokens : int
        See :class:`Encoder`.
    profile : {"auto", "plain", "sentinel"}
        What the model's family adds to prompts and targets; by default see :func:`choose_profile`.
    format : ChosenFormat
        Whether tasks are put as texts or as chats; see :func:`cotune.models.formats.choose_format`.

    Raises
    ------
    InputError
        If it cannot be loaded; the sentence gives the library's reason.
    """
    from transformers import AutoConfig, AutoTokenizer

    options = hub_options(model, revision, trusted=trusted)
    with loading(model):
        config = AutoConfig.from_pretrained(str(model), **options)
        tokenizer = AutoTokenizer.from_pretrained(str(model), **options)
    return Encoder(
        tokenizer,
        seq2seq=bool(config.is_encoder_decoder),
        max_prompt_tokens=max_prompt_tokens,
        max_target_tokens=max_target_tokens,
        profile=PROFILES[choose_profile(config, tokenizer) if profile == "auto" else profile],
        vocabulary_size=getattr(config.get_text_config(decoder=True), "vocab_size", None),
        format=format,
    )


def _begin(prompt: Prompt) -> str:
    text = prompt if isinstance(prompt, str) else " ".join(turn.text for turn in prompt)
    return text[:60]

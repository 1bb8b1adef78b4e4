"""Token ids as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_UNDECODABLE = "\N{REPLACEMENT CHARACTER}"
_BLANK = "\N{LOWER ONE EIGHTH BLOCK}"  # stands for a blank in vocabularies of SentencePiece


def token_texts(tokenizer: PreTrainedTokenizerBase, ids: Iterable[int]) -> list[str]:
    """Return the text of each token by itself, its blanks kept.

    A token that is no text alone, such as a part of a letter, is shown by its name in the vocabulary.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        Whose tokens they are.
    ids : iterable of int
        The tokens; special ones are shown too.
    """
    return [_text(tokenizer, token) for token in ids]


def whole_text(tokenizer: PreTrainedTokenizerBase, ids: Iterable[int]) -> str:
    """Return the text that tokens make together, special ones shown."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _text(tokenizer: PreTrainedTokenizerBase, token: int) -> str:
    name = str(tokenizer.convert_ids_to_tokens(token))
    text = whole_text(tokenizer, [token])
    if not text or _UNDECODABLE in text:
        return name
    return f" {text}" if name.startswith(_BLANK) and not text.startswith(" ") else text

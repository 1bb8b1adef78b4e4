"""The tokenizer of the toy language: one token a word, and the line's end closes an example."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune.lab.toy_language._tasks import LABELS, N_SYMBOLS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, END, SEPARATOR = "<pad>", "<unk>", "\n", ">"
"""The line's end is the end-of-sequence token, so that k-shot prompts are plain lines."""


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Make the tokenizer: blanks part tokens and vanish, any other word is unknown.

    Returns
    -------
    PreTrainedTokenizerFast
        22 tokens; it decodes to tokens with blanks between them.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = [PAD, UNKNOWN, END, SEPARATOR, *LABELS, *map(str, range(N_SYMBOLS))]
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(words)}, unk_token=UNKNOWN))
    # Special tokens are found before words are split, which keeps the line's end.
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )

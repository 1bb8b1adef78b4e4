"""Tokens that a model is run with beside those of the text: what pads, begins and ends a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotune.exceptions import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from cotune.models.encoding import Encoder


def padding_token(tokenizer: PreTrainedTokenizerBase, vocabulary_size: int) -> int:
    """Choose what fills rows up: the tokenizer's own padding token if the model has an embedding of it.

    A padding token that was added to the tokenizer alone would be looked up beyond the table. Padding is
    masked, so that any token does.
    """
    candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(int(t) for t in candidates if t is not None and 0 <= t < vocabulary_size)


def check_end_tokens(base: PreTrainedModel, encoder: Encoder, vocabulary_size: int) -> None:
    """Refuse a model that can neither learn nor write what ends an answer.

    Raises
    ------
    InputError
        If the model has no embedding of one of the encoder's end tokens.
    """
    for token in sorted(encoder.end_tokens):
        if not 0 <= token < vocabulary_size:
            name = encoder.tokenizer.convert_ids_to_tokens(token)
            raise InputError(
                f"The model {base.name_or_path} cannot end an answer: the token {name!r} of its tokenizer "
                f"has the id {token}, and the model knows {vocabulary_size} tokens; set eos_token in its "
                "tokenizer_config.json to one of them."
            )


def start_token(base: PreTrainedModel, vocabulary_size: int) -> int:
    """Return the token that an encoder-decoder model's decoder begins with.

    Where the configuration does not say it, it is what transformers would begin to generate with.

    Raises
    ------
    InputError
        If neither names one, or one that the model does not know.
    """
    ours, theirs = base.config, base.generation_config
    candidates = (
        getattr(ours, "decoder_start_token_id", None),
        theirs.decoder_start_token_id,
        theirs.bos_token_id,
    )
    start = next((token for token in candidates if token is not None), None)
    if start is None:
        raise InputError(
            f"The model {base.name_or_path} does not say what its decoder begins with; set "
            "decoder_start_token_id in its config.json (T5 has its padding token, BART its end-of-sequence "
            "token there)."
        )
    if not 0 <= start < vocabulary_size:
        raise InputError(
            f"The model {base.name_or_path} knows {vocabulary_size} tokens, and decoder_start_token_id in "
            f"its config.json is {start}."
        )
    return int(start)


def first_written(base: PreTrainedModel, encoder: Encoder) -> int | None:
    """Return the token that every answer is forced to begin with; None where it is free.

    Some encoder-decoder models (BART, mBART) write nothing of use unless ``forced_bos_token_id`` comes first.
    It is forced where targets are trained and scored with it, and nowhere else. ``forced_eos_token_id`` is
    not: it would put the end in place of the last token that there is room for.
    """
    forced = base.generation_config.forced_bos_token_id
    if forced is None or not encoder.seq2seq:
        return None
    opened = [encoder.tokenizer(text_target=text)["input_ids"][:1] for text in ("a", "1")]
    return int(forced) if opened == [[forced], [forced]] else None

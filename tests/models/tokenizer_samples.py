"""Tokenizers of every type that the library builds, trained on lines in ten scripts."""

from __future__ import annotations

import json
from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, UnigramTrainer, WordLevelTrainer, WordPieceTrainer
from transformers import PreTrainedTokenizerFast

LINES = [
    "Input: the cat sat on the mat\nOutput: yes",
    "Say whether it rains, in one word: good or bad, true or false. 0123456789 <>|/_[]",
    "кошка сидит на окне и смотрит",
    "η γάτα κάθεται στο χαλί",
    "القطة تجلس على السجادة",
    "החתול יושב על השטיח",
    "बिल्ली चटाई पर बैठी है",
    "แมวนั่งอยู่บนเสื่อ",
    "猫坐在垫子上看着我们",
    "猫はマットの上に座っている",
    "고양이가 매트 위에 앉아 있다",
] * 3
NAMES = ["<unk>", "<pad>", "</s>"]
END = "</s>"


def byte_level(*, space=False, trim=False, digits=False, normalizer=None, use_regex=True):
    inner = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=space, use_regex=use_regex)
    first = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    inner.pre_tokenizer = pre_tokenizers.Sequence([*first, level]) if first else level
    if normalizer:
        inner.normalizer = normalizer
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = BpeTrainer(vocab_size=500, special_tokens=NAMES, initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(LINES, trainer)
    inner.post_processor = processors.ByteLevel(trim_offsets=trim)
    return inner


def metaspace(model, scheme="always", *, split=True, normalizer=None):
    inner = Tokenizer(model)
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)
    inner.decoder = decoders.Metaspace(prepend_scheme=scheme, split=split)
    if normalizer:
        inner.normalizer = normalizer
    if isinstance(model, models.Unigram):
        trainer = UnigramTrainer(vocab_size=600, special_tokens=NAMES, unk_token="<unk>", show_progress=False)
    else:
        trainer = BpeTrainer(vocab_size=600, special_tokens=NAMES, show_progress=False)
    inner.train_from_iterator(LINES, trainer)
    return inner


def legacy_llama():
    """Return a tokenizer that reads a text as one word, after a blank of its own, and falls back on bytes."""
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = BpeTrainer(vocab_size=600, special_tokens=NAMES, show_progress=False)
    # A merge across blanks, as the real one has: of several blanks, and of what ends a prompt.
    inner.train_from_iterator([*LINES, "a    b", "a:    b"], trainer)
    model = json.loads(inner.to_str())["model"]
    vocabulary = dict(model["vocab"])
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    inner.model = models.BPE(
        vocabulary, [tuple(pair) for pair in model["merges"]], unk_token="<unk>", byte_fallback=True
    )
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return inner


def word_piece(**options):
    inner = Tokenizer(models.WordPiece(unk_token="<unk>"))
    inner.normalizer = normalizers.BertNormalizer(**options)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner.train_from_iterator(
        LINES, WordPieceTrainer(vocab_size=500, special_tokens=NAMES, show_progress=False)
    )
    return inner


def words(pre_tokenizer, normalizer=None):
    inner = Tokenizer(models.WordLevel(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizer
    if normalizer:
        inner.normalizer = normalizer
    inner.train_from_iterator(LINES, WordLevelTrainer(special_tokens=NAMES, show_progress=False))
    return inner


def with_ends(inner, template):
    """Add special tokens around every sequence: BOS, CLS and SEP are further ones, EOS is the end's."""
    inner.add_special_tokens(["<s>", "[CLS]", "[SEP]"])
    ids = [(name, inner.token_to_id(name)) for name in ("<s>", "</s>", "[CLS]", "[SEP]")]
    ends = processors.TemplateProcessing(single=template, special_tokens=ids)
    inner.post_processor = processors.Sequence(
        [*([inner.post_processor] if inner.post_processor else []), ends]
    )
    return inner


def chat(inner):
    """Add the tokens of chats, of which some are marked special, and an ordinary one."""
    inner.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    inner.add_tokens([AddedToken("<think>", normalized=False), AddedToken("   ", normalized=False)])
    return inner


BYTES = {
    "byte level": byte_level,
    "byte level, trimmed": lambda: byte_level(trim=True),
    "byte level, prefix space": lambda: byte_level(space=True),
    "byte level, digits": lambda: byte_level(digits=True, trim=True),
    "byte level, whole text": lambda: byte_level(use_regex=False),
    "byte level, NFC": lambda: byte_level(normalizer=normalizers.NFC()),
    "byte level, chat": lambda: chat(byte_level()),
    "byte level, BOS": lambda: with_ends(byte_level(trim=True), "<s> $A"),
    "byte level, EOS": lambda: with_ends(byte_level(), "$A </s>"),
    "byte level, both": lambda: with_ends(byte_level(), "<s> $A </s>"),
    "byte level, CLS and SEP": lambda: with_ends(byte_level(digits=True), "[CLS] $A [SEP]"),
    "Llama, legacy": legacy_llama,
    "Llama, legacy, BOS": lambda: with_ends(legacy_llama(), "<s> $A"),
}
"""These can write every text."""

LOSSY = {
    "byte level, NFKC": lambda: byte_level(normalizer=normalizers.NFKC()),
    "byte level, lower case": lambda: byte_level(normalizer=normalizers.Lowercase()),
    "byte level, stripped accents": lambda: byte_level(
        normalizer=normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()])
    ),
    "byte level, replaced": lambda: byte_level(normalizer=normalizers.Replace("a", "bb")),
    "Metaspace BPE, always": lambda: metaspace(models.BPE(unk_token="<unk>")),
    "Metaspace BPE, first": lambda: metaspace(models.BPE(unk_token="<unk>", fuse_unk=True), "first"),
    "Metaspace BPE, never": lambda: metaspace(models.BPE(unk_token="<unk>"), "never", split=False),
    "Unigram, always": lambda: metaspace(models.Unigram()),
    "Unigram, first": lambda: metaspace(models.Unigram(), "first", split=False),
    "Unigram, never": lambda: metaspace(models.Unigram(), "never"),
    "Unigram, NFKC, EOS": lambda: with_ends(
        metaspace(models.Unigram(), normalizer=normalizers.NFKC()), "$A </s>"
    ),
    "WordPiece": word_piece,
    "WordPiece, lower case, CLS and SEP": lambda: with_ends(
        word_piece(lowercase=True, strip_accents=True), "[CLS] $A [SEP]"
    ),
    "words": lambda: words(pre_tokenizers.Whitespace()),
    "words between blanks": lambda: words(pre_tokenizers.WhitespaceSplit(), normalizers.NFC()),
}


@cache
def sample(name: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer by its name."""
    inner = {**BYTES, **LOSSY}[name]()
    known = inner.get_vocab()
    others = {"bos_token": "<s>", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token=END,
        **{role: token for role, token in others.items() if token in known},
    )

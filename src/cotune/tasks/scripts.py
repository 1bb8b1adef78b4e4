"""Text of any script: the form in which two texts are compared, and their words."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from types import SimpleNamespace
from typing import Any

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Characters of the scripts that write no spaces between words, for a set of the package ``regex``."""

_MEANT = ("<super>", "<sub>", "<fraction>")
"""Compatibility forms that say something of their own: 10² is not 102."""

_SIGNS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{HYPHEN}": "-",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    }
)

_CJK_TOKENIZER, _CHARACTER_TOKENIZER, _WORD_TOKENIZER = "zh", "char", "13a"


def fold(text: str) -> str:
    """Return the form in which texts are compared.

    Upper and lower case, composed and decomposed letters, full and half width, ligatures, curly and straight
    quotes, hyphens and minus signs count as the same, and so do spaces of any length; characters that
    show nothing (zero-width spaces, variation selectors) do not count. It is NFKC with Unicode's case folding
    but for raised and lowered characters and fractions, which stay themselves: "10²" is not "102".

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        Empty only where the text has nothing to show; the folded form of a folded text is itself.
    """
    if text.isascii():
        return " ".join(text.casefold().split())
    for _ in range(3):  # folding the case may compose what folds again; it settles after two rounds
        text = unicodedata.normalize("NFC", "".join(map(_plain, unicodedata.normalize("NFC", text))))
        text = unicodedata.normalize("NFC", text.casefold())
    return " ".join(text.split())


def normalize_answer(text: str) -> str:
    """Lower the case, remove punctuation and English articles, and collapse spaces.

    The normalisation of SQuAD's official evaluation script (Rajpurkar et al., 2016) in any script, of
    :func:`fold`'s form, save where it takes different answers for one: what stands between digits or before
    them as sign or decimal point stays ("-1", "1.5", "1/2"; "2,500" is 2500), and so do the signs that end a
    name ("C++", "C#"); an article is one where a word follows ("the" in "the fig", not the "a" of "hepatitis
    A"); and an answer of nothing but punctuation ("?") is itself.
    """
    folded = fold(text)
    patterns = _patterns()
    bare = patterns["article"].sub(" ", folded)
    bare = patterns["dash"].sub("-", bare)
    bare = patterns["grouped"].sub(lambda found: found[0].replace(",", ""), bare)
    bare = patterns["point"].sub("0.", bare)
    bare = patterns["punctuation"].sub(lambda found: found["kept"] or "", bare)
    return " ".join(bare.split()) or folded


def words(text: str) -> list[str]:
    """Return the words of a text; in scripts without spaces every character, with its marks, is one."""
    return list(_patterns()["word"].findall(text))


class RougeTokenizer:
    """Words for ROUGE: of English those of the package ``rouge_score``, with Porter's stemmer.

    Of other texts runs of letters with their marks and digits; every character of a script without spaces;
    where a text has neither, as of emoji or punctuation, every character.
    """

    def __init__(self) -> None:
        from nltk.stem.porter import PorterStemmer
        from rouge_score.tokenize import tokenize

        # Answers to a task share most of their words, and a stem costs more than all else of a short one.
        stem = lru_cache(maxsize=2**16)(PorterStemmer().stem)
        self._english: Callable[[str], list[str]] = partial(tokenize, stemmer=SimpleNamespace(stem=stem))

    def tokenize(self, text: str) -> list[str]:
        """Return the words of a text."""
        if text.isascii():
            found: list[str] = self._english(text)
        else:
            found = [
                stem
                for word in _patterns()["letters"].findall(fold(text))
                for stem in (self._english(word) if word.isascii() else [word])
            ]
        return found or list(_patterns()["character"].findall(fold(text)))


def bleu_tokenizer(references: Sequence[str]) -> str:
    """Return the name of sacreBLEU's tokenizer that fits the script of most words of the references.

    "zh" where they are Chinese characters, "char" where there are Japanese, Thai, Lao, Khmer or Burmese ones,
    "13a", sacreBLEU's default, elsewhere.
    """
    if all(map(str.isascii, references)):
        return _WORD_TOKENIZER
    found = [word for reference in references for word in words(reference)]
    unspaced = [word for word in found if _patterns()["unspaced"].match(word)]
    if 2 * len(unspaced) <= len(found):
        return _WORD_TOKENIZER
    return _CJK_TOKENIZER if all(map(_patterns()["han"].match, unspaced)) else _CHARACTER_TOKENIZER


@lru_cache(maxsize=2**14)
def _plain(character: str) -> str:
    """Return a character without its variant of width, shape or direction; nothing for one not seen."""
    if character.isascii():
        return character
    if unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""
    if unicodedata.decomposition(character).startswith(_MEANT):
        return character
    return unicodedata.normalize("NFKC", character).translate(_SIGNS)


@cache
def _patterns() -> dict[str, Any]:
    import regex

    ascii_punctuation = "".join(f"\\{sign}" for sign in string.punctuation)
    kept = (
        r"(?<=\p{Nd})[.,:/+*^<>=\xd7\xf7\-]+(?=\p{Nd})"  # 1.5, 10:30, 1/2
        r"|(?<![\p{L}\p{M}\p{N}_)\]])-(?=[\p{Sc}.]*\p{Nd})"  # -1
        r"|(?<=\p{L})[+#]+(?![\p{L}\p{N}])"  # C++, C#
        r"|(?<=(?<![\p{L}\p{M}])\p{L}{1,2})-(?![\p{L}\p{N}])"  # the blood group AB-, the grade B-
    )
    return {
        name: regex.compile(pattern)
        for name, pattern in {
            "article": r"""(?<![^\s"'(\[])(?:a|an|the)(?=\s+["'(\[]*\w)""",
            "dash": r"(?<=\p{Nd})\u2013(?=\p{Nd})|(?<!\S)\u2013(?=\p{Nd})",
            "grouped": r"(?<![\p{Nd}.,])\p{Nd}{1,3}(?:,\p{Nd}{2,3})*,\p{Nd}{3}(?![\p{Nd},])",
            "point": r"(?<![\p{L}\p{M}\p{N}_.])\.(?=\p{Nd})",
            "punctuation": rf"(?P<kept>{kept})|[\p{{P}}{ascii_punctuation}]",
            "word": rf"[{UNSPACED}]\p{{M}}*|[^\s{UNSPACED}]+",
            "letters": rf"[{UNSPACED}]\p{{M}}*|(?:(?![{UNSPACED}])[\p{{L}}\p{{M}}\p{{N}}])+",
            "character": r"(?!\s)\X",
            "unspaced": rf"[{UNSPACED}]",
            "han": r"\p{Han}",
        }.items()
    }

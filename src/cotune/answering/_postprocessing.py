"""From what was written to what is scored (ProMoT, appendix A.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from cotune.tasks import Example, cut_answer
from cotune.tasks.scripts import UNSPACED, fold


def match_choice(text: str, choices: Sequence[str]) -> str | None:
    """Return the choice that a text begins with, in the form of :func:`cotune.tasks.scripts.fold`.

    The paper checks "whether the first output token is True or False"; here it is the first words, so that
    choices of several words or tokens are told apart. Punctuation and markup before the answer is skipped.
    Where one choice begins another, the longer one counts.

    A choice ends where its word ends: "Falsehood" does not begin with "False", "don't" not with "don", "C++"
    not with "C". In scripts without spaces anything may follow but a mark of the last letter, and, after
    Katakana, more of it; after Hangul a particle or copula. A number is matched whole: "-1", "1.5", "1,000",
    "1/2" and "1万" do not begin with "1", while "1 apple", "10%" and "1." begin with the number.

    Parameters
    ----------
    text : str
        What the model wrote.
    choices : sequence of str
        The closed set of answers.

    Returns
    -------
    str or None
        None where the text begins with none of them.

    Examples
    --------
    >>> match_choice('"true", because it says so.', ["True", "False"])
    'True'
    """
    folded = fold(text)
    begun = [choice for choice in choices if _beginning(choice).match(folded)]
    # Of choices that differ in case alone, the one written as the text is.
    return max(begun, key=lambda choice: (len(fold(choice)), choice in text), default=None)


def extract_answer(text: str, stops: Sequence[str], example: Example) -> str:
    """Return what of a generated text is scored: cut at the first stop; the choice it begins with."""
    answer = cut_answer(text, stops)
    return match_choice(answer, example.choices) or answer


_LETTER = rf"(?![{UNSPACED}\p{{Hangul}}])[\p{{L}}\p{{N}}]"
_NUMERAL = r"\p{Nd}零〇一二三四五六七八九十百千万萬億亿兆两"
_AFTER_NUMBER = (
    # A fraction, a group of thousands, a time, a range; a power, a product
    # After a blank a group of thousands or a fraction.
    rf"(?![.,'·:/\-\u2013\u066b\u066c点點]\p{{Nd}}|[点點][{_NUMERAL}]|\ ?[+*^/\xd7\xf7]\ ?\p{{Nd}}"
    rf"|\ \p{{Nd}}{{3}}(?!\p{{Nd}})|\ \p{{Nd}}+/\p{{Nd}}|[{_NUMERAL}])"
)
_PARTICLE = (
    r"(?:입니다|이다|이에요|예요|이예요|에요|요|이요|임|이며|이고|이라고|라고|적|적인|적입니다|적이다|은|는|이|가|을|를|도|로|으로)"
    r"(?!\p{Hangul})"
)


@lru_cache(maxsize=2**12)
def _beginning(choice: str) -> Any:
    import regex

    choice = fold(choice)
    return regex.compile(_opening(choice[:1]) + regex.escape(choice) + _closing(choice[-1:]))


def _opening(first: str) -> str:
    """Return the pattern of what may stand before a choice, by its first character."""
    if first.isdecimal():
        # Neither a sign, nor a decimal point, nor a relation: an ellipsis ends in a point, too.
        return r"[\W_]*(?<![\-\u2013<>≤≥≠≈±√¬,])(?<!(?<!\.)\.)"
    if first.isalpha():
        return r"[\W_]*(?<![¬!])"
    return r"[\s\"'(\[{*_`]*?"


def _closing(last: str) -> str:
    """Return the pattern of what may stand after a choice, by its last character."""
    import regex

    if regex.match(rf"[{_NUMERAL}]", last):
        other = r"" if regex.match(rf"[{UNSPACED}]", last) else rf"(?!_*{_LETTER})"
        return _AFTER_NUMBER + other
    if regex.match(r"[\p{Katakana}ー]", last):
        return r"(?![\p{Katakana}ー])"
    if regex.match(rf"[{UNSPACED}]", last):
        return r"(?!\p{M})"
    if regex.match(r"\p{Hangul}", last):
        return rf"(?:{_PARTICLE}|(?!\p{{Hangul}}))"
    if not last.isalnum() and not regex.match(r"\p{M}", last):
        return ""
    # Neither more of the word, nor an apostrophe, hyphen or slash and more of it, nor a sign of its name.
    return rf"(?!\p{{M}}|_*{_LETTER}|['\-/]{_LETTER}|[+#])"

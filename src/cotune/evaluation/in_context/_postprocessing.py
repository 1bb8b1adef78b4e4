"""See :mod:`cotune.answering`."""

from cotune.answering import extract_answer, match_choice

__all__ = ["extract_answer", "match_choice"]

"""Replay as a method: plain text, or examples of other tasks, beside those of the targets."""

from __future__ import annotations

from cotune.training.methods._weights import OthersMethod


class Replay(OthersMethod):
    """The weights learn what is replayed beside the targets: the text's next tokens, or the right answers.

    It is what ``training.replay`` does to every method of a study, as one of the methods compared.
    """

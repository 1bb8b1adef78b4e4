from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cotune._repr import Brief

if TYPE_CHECKING:
    from cotune.models import Encoded


@dataclass(frozen=True, slots=True)
class LabelledPrompt(Brief):
    """A classification example under each label it could have.

    Parameters
    ----------
    options : tuple of Encoded
        The prompt with every label of the label set as target, in the order of the set.
    answer : int
        Position of the true label.
    """

    options: tuple[Encoded, ...]
    answer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleAlignment(Brief):
    """How well the full gradient and the format gradient agree on one group of modules (paper, Fig. 3).

    Parameters
    ----------
    group : str
        A name of the module groups, such as ``"mlp"`` or ``"query"``.
    cosine : float
        Of the two gradients, -1 to 1; NaN where one of them is zero.
    full_norm : float
        Euclidean norm of the full gradient: that of the mean loss on the true labels, in nats a token.
    format_norm : float
        Euclidean norm of the format gradient: the same on randomised labels, the mean over their draws.
    """

    group: str
    cosine: float
    full_norm: float
    format_norm: float

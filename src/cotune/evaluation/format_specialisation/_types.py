from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleAlignment:
    """How well the full gradient and the format gradient agree on one group of modules (paper, Fig. 3).

    Parameters
    ----------
    group : str
        A name of the module groups, such as ``"mlp"`` or ``"query"``.
    cosine : float
        Of the two gradients, -1 to 1; NaN where one of them is zero.
    full_norm : float
        Euclidean norm of the gradient of the mean loss on the true labels.
    format_norm : float
        Euclidean norm of the same on randomised labels, averaged over their draws.
    """

    group: str
    cosine: float
    full_norm: float
    format_norm: float

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from cotune._config import Config

if TYPE_CHECKING:
    from torch import Tensor


class Balancing(Config):
    """How the tasks of a step share it; its fields are the options."""

    by_gradient: ClassVar[bool] = False
    """Whether :meth:`combine` is asked, which takes a gradient of every task of a step in memory at once."""

    def weights(self, losses: Sequence[Mapping[str, float]], tasks: Sequence[str]) -> Mapping[str, float]:
        """Return by task the factor of its losses in the next step.

        Parameters
        ----------
        losses : sequence of mapping of str to float
            By step done, the loss of each task that it saw.
        tasks : sequence of str
            Those of the next step.
        """
        return dict.fromkeys(tasks, 1.0)

    def combine(self, gradients: Tensor) -> Tensor:
        """Make one gradient of those of the tasks of a step.

        Parameters
        ----------
        gradients : Tensor of shape (tasks, p)
            Each task's share of the gradient of the batch's loss, so that their sum is that gradient.

        Returns
        -------
        Tensor of shape (p,)
        """
        return gradients.sum(0)

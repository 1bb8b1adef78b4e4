"""The function classes: laws a random function is drawn from, and the prompts that show it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True, kw_only=True)
class Law(ABC):
    """A distribution over functions R^d -> R whose values have mean 0 and variance ``scale ** 2``.

    The moments are taken over the function and a standard normal input. They do not tell the types apart: a
    model that ignores its context does equally well on all types of one scale.

    Parameters
    ----------
    scale : float
        Standard deviation of the values.
    """

    scale: float
    family: ClassVar[str]
    """The type of function, shared by all scales."""

    def prompts(self, count: int, points: int, dimension: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw prompts, each showing a function of its own at its own standard normal points.

        Parameters
        ----------
        count, points, dimension : int
            Number of prompts, points a prompt and coordinates a point.
        generator : torch.Generator
            Determines the prompts.

        Returns
        -------
        x : Tensor of shape (count, points, dimension)
            The points.
        y : Tensor of shape (count, points)
            The function's values there.
        """
        import torch

        x = torch.randn(count, points, dimension, generator=generator)
        return x, self.scale * self.unit_values(x, generator)

    @abstractmethod
    def unit_values(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw a function of scale 1 for every prompt and evaluate it.

        Parameters
        ----------
        x : Tensor of shape (count, points, dimension)
            The points of each prompt.
        generator : torch.Generator
            Determines the functions.

        Returns
        -------
        Tensor of shape (count, points)
        """


@dataclass(frozen=True, kw_only=True)
class LinearLaw(Law):
    """``f(x) = scale * w.x / sqrt(d)`` with w ~ N(0, I_d)."""

    family: ClassVar[str] = "linear"

    def unit_values(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw a linear function for every prompt and evaluate it."""
        import torch

        count, _, dimension = x.shape
        weights = torch.randn(count, dimension, 1, generator=generator) / math.sqrt(dimension)
        return torch.bmm(x, weights).squeeze(2)


@dataclass(frozen=True, kw_only=True)
class TreeLaw(Law):
    """A full binary tree: every inner node tests the sign of a coordinate, every leaf holds a value.

    The tested coordinates are uniform over all d, the values of the leaves are ``scale * N(0, 1)``. Nodes
    are numbered as in a heap: the children of node i are 2i + 1 (coordinate not positive) and 2i + 2.

    Parameters
    ----------
    depth : int
        Tests between the root and a leaf; a tree takes at most ``2 ** depth`` values.
    """

    depth: int = 4
    family: ClassVar[str] = "tree"

    def unit_values(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw a tree for every prompt and evaluate it."""
        import torch

        count, points, dimension = x.shape
        n_inner = 2**self.depth - 1
        coordinates = torch.randint(dimension, (count, n_inner), generator=generator)
        leaves = torch.randn(count, n_inner + 1, generator=generator)
        node = torch.zeros(count, points, dtype=torch.long)
        for _ in range(self.depth):
            tested = coordinates.gather(1, node).unsqueeze(2)
            positive = x.gather(2, tested).squeeze(2) > 0
            node = 2 * node + 1 + positive
        return leaves.gather(1, node - n_inner)


@dataclass(frozen=True, kw_only=True)
class ReluLaw(Law):
    """``f(x) = scale * sqrt(2 / (h d)) * sum_j a_j relu(w_j.x)`` with a_j ~ N(0, 1) and w_j ~ N(0, I_d).

    Parameters
    ----------
    hidden : int
        Units h of the hidden layer.
    """

    hidden: int = 8
    family: ClassVar[str] = "relu"

    def unit_values(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw a two-layer network for every prompt and evaluate it."""
        import torch

        count, _, dimension = x.shape
        inner = torch.randn(count, dimension, self.hidden, generator=generator)
        outer = torch.randn(count, self.hidden, 1, generator=generator)
        values = torch.bmm(torch.bmm(x, inner).relu(), outer).squeeze(2)
        return math.sqrt(2 / (self.hidden * dimension)) * values


FUNCTION_CLASSES: Mapping[str, Law] = MappingProxyType(
    {
        f"{law.family}-{scale:.1f}": law(scale=scale)
        for law in (LinearLaw, TreeLaw, ReluLaw)
        for scale in (1.0, 0.9, 1.1)
    }
)
"""The nine function classes by name: three scales of each of three types."""

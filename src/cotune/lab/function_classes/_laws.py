"""The function classes: laws a random function is drawn from, and the prompts that show it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from torch import Generator, Tensor

_MEAN_SEED = 0
"""Draws the prior mean of a type."""


@dataclass(frozen=True, kw_only=True)
class Law(ABC):
    """A distribution over functions R^d -> R: ``scale * (c f_0 + sqrt(1 - c^2) g)`` with a random g.

    g has mean 0 and variance 1 over the draw and a standard normal input. With c = 0 the moments do not tell
    the types apart: a model that ignores its context does equally well on all types of one scale. With c > 0
    all laws of a type share the prior mean c f_0, one fixed function of that type, which a model can
    predict without any example: what then groups the types need not be learned in context.

    Parameters
    ----------
    scale : float
        Standard deviation of the values where c = 0.
    shared_mean : float
        c, from 0 to 1.
    """

    scale: float
    shared_mean: float = 0.0
    family: ClassVar[str]
    """The type of function, shared by all its laws."""

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
        return x, self.values(x, generator)

    def values(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw a function for every prompt and evaluate it.

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
        values = self.unit_values(x, generator)
        if self.shared_mean:
            own = math.sqrt(1 - self.shared_mean**2)
            values = self.shared_mean * self._mean_values(x) + own * values
        return self.scale * values

    def _mean_values(self, x: Tensor) -> Tensor:
        """Evaluate f_0, one function for all prompts of all laws of the type."""
        import torch

        count, points, dimension = x.shape
        fixed = torch.Generator().manual_seed(_MEAN_SEED)
        return self.unit_values(x.reshape(1, count * points, dimension), fixed).reshape(count, points)

    @abstractmethod
    def unit_values(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw g for every prompt and evaluate it.

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
    """``g(x) = w.x / sqrt(d)`` with weights of mean 0 and variance 1.

    Parameters
    ----------
    weights : {"normal", "sparse", "sign"}
        w ~ N(0, I_d); or a single coordinate, drawn uniformly, with weight N(0, d); or signs.
    """

    weights: Literal["normal", "sparse", "sign"] = "normal"
    family: ClassVar[str] = "linear"

    def unit_values(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw a linear function for every prompt and evaluate it."""
        import torch

        count, _, dimension = x.shape
        weights = torch.randn(count, dimension, 1, generator=generator) / math.sqrt(dimension)
        if self.weights == "sign":
            weights = weights.sign() / math.sqrt(dimension)
        elif self.weights == "sparse":
            kept = torch.randint(dimension, (count, 1, 1), generator=generator)
            weights = torch.zeros_like(weights).scatter(1, kept, math.sqrt(dimension) * weights[:, :1])
        return torch.bmm(x, weights).squeeze(2)


@dataclass(frozen=True, kw_only=True)
class TreeLaw(Law):
    """A full binary tree: every inner node tests the sign of a coordinate, every leaf holds a value.

    The tested coordinates are uniform over all d, the values of the leaves independent with mean 0 and
    variance 1. Nodes are numbered as in a heap: the children of node i are 2i + 1 (coordinate not positive)
    and 2i + 2.

    Parameters
    ----------
    depth : int
        Tests between the root and a leaf; a tree takes at most ``2 ** depth`` values.
    leaves : {"normal", "uniform", "sign"}
        Law of the values: N(0, 1), uniform over [-sqrt 3, sqrt 3], or signs.
    """

    depth: int = 4
    leaves: Literal["normal", "uniform", "sign"] = "normal"
    family: ClassVar[str] = "tree"

    def unit_values(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw a tree for every prompt and evaluate it."""
        import torch

        count, points, dimension = x.shape
        n_inner = 2**self.depth - 1
        coordinates = torch.randint(dimension, (count, n_inner), generator=generator)
        leaves = torch.randn(count, n_inner + 1, generator=generator)
        if self.leaves == "sign":
            leaves = leaves.sign()
        elif self.leaves == "uniform":
            leaves = math.sqrt(3) * torch.special.erf(leaves / math.sqrt(2))
        node = torch.zeros(count, points, dtype=torch.long)
        for _ in range(self.depth):
            tested = coordinates.gather(1, node).unsqueeze(2)
            positive = x.gather(2, tested).squeeze(2) > 0
            node = 2 * node + 1 + positive
        return leaves.gather(1, node - n_inner)


@dataclass(frozen=True, kw_only=True)
class ReluLaw(Law):
    """``g(x) = sqrt(2 / (h d)) * sum_j a_j relu(w_j.x)`` with w_j ~ N(0, I_d), a_j of mean 0 and variance 1.

    Parameters
    ----------
    hidden : int
        Units h of the hidden layer.
    outer : {"normal", "sign"}
        Law of the a_j: N(0, 1) or signs.
    """

    hidden: int = 8
    outer: Literal["normal", "sign"] = "normal"
    family: ClassVar[str] = "relu"

    def unit_values(self, x: Tensor, generator: Generator) -> Tensor:
        """Draw a two-layer network for every prompt and evaluate it."""
        import torch

        count, _, dimension = x.shape
        inner = torch.randn(count, dimension, self.hidden, generator=generator)
        outer = torch.randn(count, self.hidden, 1, generator=generator)
        if self.outer == "sign":
            outer = outer.sign()
        values = torch.bmm(torch.bmm(x, inner).relu(), outer).squeeze(2)
        return math.sqrt(2 / (self.hidden * dimension)) * values


_TYPES = (LinearLaw, TreeLaw, ReluLaw)
_SCALES = (1.0, 0.9, 1.1)

_BY_SCALE = {f"{law.family}-{scale:.1f}": law(scale=scale) for law in _TYPES for scale in _SCALES}
_BY_SHAPE: dict[str, Law] = {
    "linear-sparse": LinearLaw(scale=1.0, weights="sparse"),
    "linear-sign": LinearLaw(scale=1.0, weights="sign"),
    "tree-uniform": TreeLaw(scale=1.0, leaves="uniform"),
    "tree-sign": TreeLaw(scale=1.0, leaves="sign"),
    "relu-wide": ReluLaw(scale=1.0, hidden=32),
    "relu-sign": ReluLaw(scale=1.0, outer="sign"),
}
_BY_MEAN = {
    f"{law.family}-mean-{scale:.1f}": law(scale=scale, shared_mean=0.7) for law in _TYPES for scale in _SCALES
}

FUNCTION_CLASSES: Mapping[str, Law] = MappingProxyType({**_BY_SCALE, **_BY_SHAPE, **_BY_MEAN})
"""All function classes by name."""

LAW_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "scales": tuple(_BY_SCALE),
        "shapes": (
            *("linear-1.0", "linear-sparse", "linear-sign"),
            *("tree-1.0", "tree-uniform", "tree-sign"),
            *("relu-1.0", "relu-wide", "relu-sign"),
        ),
        "shared_means": tuple(_BY_MEAN),
    }
)
"""Nine classes each, three of every type: three scales; three laws of the parameters; and three scales with
a prior mean that the classes of a type share, so that their groups need not be learned in context."""

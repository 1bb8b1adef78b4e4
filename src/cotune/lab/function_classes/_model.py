"""A small GPT-style regressor that learns in context, many independent copies at a time."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional


class StackedRegressor(nn.Module):
    """Decoder-only transformers that predict ``y_i`` from ``x_1, y_1, ..., x_i`` (Garg et al., 2022).

    Every parameter carries a leading axis over M models that share nothing: M small matrix products become
    one batched product, which is what makes training many of them cheap. M = 1 is the plain model.

    A prompt is the sequence ``x_1, y_1, x_2, ..., x_N``; points and values enter through one linear map of
    ``(x, 0)`` and ``(0, y)``, predictions are read off at the positions of the points. Blocks are pre-norm.
    Their norms have no gain and bias of their own: the linear map after each of them absorbs these.

    Parameters
    ----------
    dimension : int
        Coordinates d of a point.
    points : int
        Points N of a prompt.
    width, layers, heads : int
        Size of the transformer; ``heads`` divides ``width``.
    generator : torch.Generator
        Determines the initial weights.
    """

    def __init__(
        self, *, dimension: int, points: int, width: int, layers: int, heads: int, generator: Generator
    ) -> None:
        super().__init__()
        self.read_in = _Linear(dimension + 1, width, dimension**-0.5, generator)
        self.positions = nn.Parameter(0.05 * torch.randn(1, 2 * points - 1, width, generator=generator))
        self.blocks = nn.ModuleList(_Block(width, heads, layers, generator) for _ in range(layers))
        self.read_out = _Linear(width, 1, 0.1 * width**-0.5, generator)

    @property
    def n_models(self) -> int:
        """Number M of models."""
        return self.positions.shape[0]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Predict every value of every prompt from what stands before it.

        Parameters
        ----------
        x : Tensor of shape (M, B, N, d)
            Points of B prompts for each model.
        y : Tensor of shape (M, B, N)
            Values at the points.

        Returns
        -------
        Tensor of shape (M, B, N)
            Entry i of a prompt depends on ``x[: i + 1]`` and ``y[:i]`` alone.
        """
        models, prompts, points, dimension = x.shape
        tokens = x.new_zeros(models, prompts, 2 * points - 1, dimension + 1)
        tokens[:, :, 0::2, :dimension] = x
        tokens[:, :, 1::2, dimension] = y[:, :, :-1]
        hidden = self.read_in(tokens) + self.positions.unsqueeze(1)
        for block in self.blocks[:-1]:
            hidden = block(hidden)
        # Nothing reads the last block at the positions of the values.
        hidden = self.blocks[-1](hidden, stride=2)
        predicted: Tensor = self.read_out(_norm(hidden))
        return predicted.squeeze(-1)

    def copies(self, count: int) -> StackedRegressor:
        """Return ``count`` independent copies of a plain model as one stack."""
        return self._with_models([0] * count)

    def member(self, index: int) -> StackedRegressor:
        """Return a copy of one model of the stack."""
        return self._with_models([index])

    def _with_models(self, indices: list[int]) -> StackedRegressor:
        chosen = deepcopy(self)
        for parameter in chosen.parameters():
            parameter.data = parameter.data[indices]
        return chosen


class _Linear(nn.Module):
    """M linear maps, applied to M inputs of shape (B, L, fan_in)."""

    def __init__(self, fan_in: int, fan_out: int, std: float, generator: Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(std * torch.randn(1, fan_in, fan_out, generator=generator))
        self.bias = nn.Parameter(torch.zeros(1, 1, fan_out))

    def forward(self, inputs: Tensor) -> Tensor:
        models, prompts, length, fan_in = inputs.shape
        rows = inputs.reshape(models, prompts * length, fan_in)
        return torch.baddbmm(self.bias, rows, self.weight).view(models, prompts, length, -1)


class _Block(nn.Module):
    """Causal attention and a two-layer perceptron, each on a normed copy and added back."""

    def __init__(self, width: int, heads: int, layers: int, generator: Generator) -> None:
        super().__init__()
        std = width**-0.5
        # As in GPT-2, the sum over all residual branches starts with the variance of one.
        residual = (2 * layers) ** -0.5
        self.heads = heads
        self.query = _Linear(width, width, std, generator)
        self.key = _Linear(width, width, std, generator)
        self.value = _Linear(width, width, std, generator)
        self.output = _Linear(width, width, std * residual, generator)
        self.up = _Linear(width, 4 * width, std, generator)
        self.down = _Linear(4 * width, width, std * residual / 2, generator)

    def forward(self, hidden: Tensor, stride: int = 1) -> Tensor:
        """Return the block's output at every ``stride``-th position."""
        normed = _norm(hidden)
        hidden = hidden[:, :, ::stride] + self.output(self._attend(normed, stride))
        perceived: Tensor = self.down(functional.gelu(self.up(_norm(hidden))))
        return hidden + perceived

    def _attend(self, normed: Tensor, stride: int) -> Tensor:
        """Let every ``stride``-th position look at itself and all earlier positions."""
        asking = normed[:, :, ::stride]
        positions = torch.arange(normed.shape[2])
        later = positions[::stride].unsqueeze(1) < positions
        mask = torch.zeros(later.shape).masked_fill(later, -torch.inf)
        queries, keys, values = map(
            self._split_heads, (self.query(asking), self.key(normed), self.value(normed))
        )
        # Plain products: heads this small cost the fused kernel more than it saves.
        heads = [
            torch.bmm(torch.baddbmm(mask, q, k.mT, alpha=q.shape[-1] ** -0.5).softmax(-1), v)
            for q, k, v in zip(queries, keys, values, strict=True)
        ]
        return torch.cat(heads, dim=-1).view(asking.shape)

    def _split_heads(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """Return for each head a tensor of shape (models * prompts, positions, width / heads)."""
        return torch.tensor_split(hidden.flatten(0, 1), self.heads, dim=-1)


def _norm(hidden: Tensor) -> Tensor:
    return functional.layer_norm(hidden, hidden.shape[-1:])

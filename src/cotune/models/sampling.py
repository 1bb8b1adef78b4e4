"""Sampling text under a seed: what a prompt is completed with does not depend on what it is batched with.

A draw from a softmax is the largest of its logits plus Gumbel noise (Gumbel 1954; "the Gumbel-max trick"). So
sampling is greedy decoding of perturbed logits, with noise from a generator of each prompt's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import LogitsProcessor

from cotune._repr import Brief
from cotune.exceptions import InputError


@dataclass(frozen=True, slots=True)
class Sampling(Brief):
    """How tokens are drawn.

    Parameters
    ----------
    seed : int
        Decides the draws, with the place of a prompt among its fellows.
    temperature : float
        Above 0; logits are divided by it.
    top_p : float
        In (0, 1]: the likeliest tokens that together have this probability are drawn from, no others
        (nucleus sampling, Holtzman et al. 2020).

    Raises
    ------
    InputError
        If a number is out of its range.
    """

    seed: int
    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"The temperature of sampling must be above 0, got {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p of sampling must be above 0 and at most 1, got {self.top_p}.")


class Sampler:
    """Perturbs logits so that the largest is a draw.

    Parameters
    ----------
    sampling : Sampling
        How tokens are drawn.
    """

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generators: dict[int, torch.Generator] = {}

    def perturb(self, logits: torch.Tensor, prompts: Sequence[int]) -> torch.Tensor:
        """Return perturbed logits.

        Parameters
        ----------
        logits : Tensor of shape (n, v)
            Of the next token of n prompts.
        prompts : sequence of int
            Their places among all prompts; each takes the next noise of its own.

        Returns
        -------
        Tensor of shape (n, v)
            In float32, tokens that are not drawn from at minus infinity.
        """
        scaled = logits.float() / self._sampling.temperature
        kept = scaled.masked_fill(self._outside(scaled), -torch.inf)
        noise = torch.stack([self._noise(prompt, logits.shape[-1]) for prompt in prompts])
        return kept + noise.to(kept.device)

    def _outside(self, logits: torch.Tensor) -> torch.Tensor:
        """Mark the tokens outside the nucleus; the likeliest is always in it."""
        order = logits.argsort(stable=True, dim=-1, descending=True)
        sorted_p = logits.softmax(-1).gather(-1, order)
        before = sorted_p.cumsum(-1) - sorted_p
        return torch.zeros_like(before, dtype=torch.bool).scatter(-1, order, before >= self._sampling.top_p)

    def _noise(self, prompt: int, size: int) -> torch.Tensor:
        if prompt not in self._generators:
            # Seeds side by side give streams that have nothing in common only when they are spread out.
            seed = (self._sampling.seed * 0x9E3779B97F4A7C15 + prompt * 0xBF58476D1CE4E5B9) % 2**63
            self._generators[prompt] = torch.Generator().manual_seed(seed)
        uniform = torch.rand(size, generator=self._generators[prompt], dtype=torch.float64)
        return -(-uniform.clamp(min=1e-300).log()).log().float()


class Perturbed(LogitsProcessor):  # type: ignore[misc]
    """Lets transformers' greedy search draw.

    Parameters
    ----------
    sampler : Sampler
        Perturbs.
    prompts : sequence of int
        The prompts in the rows of the batch.
    """

    def __init__(self, sampler: Sampler, prompts: Sequence[int]) -> None:
        self._sampler = sampler
        self._prompts = prompts

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return perturbed scores of the next token."""
        return self._sampler.perturb(scores, self._prompts)

"""Sampling schemes: which tasks the examples of a step come from; a new one is a file and a line here."""

from __future__ import annotations

from cotune._registry import Registry
from cotune.training.schemes._scheme import SamplingScheme, Scheme, SizeScheme
from cotune.training.schemes.annealed import Annealed
from cotune.training.schemes.proportional import Proportional
from cotune.training.schemes.round_robin import RoundRobin
from cotune.training.schemes.temperature import Temperature
from cotune.training.schemes.uniform import Uniform

SCHEMES: Registry[Scheme] = Registry(
    Scheme,
    key="name",
    group="cotune.schemes",
    classes={
        "annealed": Annealed,
        "proportional": Proportional,
        "round_robin": RoundRobin,
        "temperature": Temperature,
        "uniform": Uniform,
    },
)
"""The names a study file may write under ``training.scheme``."""

__all__ = [
    "SCHEMES",
    "Annealed",
    "Proportional",
    "RoundRobin",
    "SamplingScheme",
    "Scheme",
    "SizeScheme",
    "Temperature",
    "Uniform",
]

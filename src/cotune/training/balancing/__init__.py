"""Balancing: how the tasks of a step share it, as comparisons; a new one is a file and a line here."""

from __future__ import annotations

from cotune._registry import Registry
from cotune.training.balancing._balancing import Balancing
from cotune.training.balancing.dwa import DynamicWeightAverage
from cotune.training.balancing.none import NoBalancing
from cotune.training.balancing.pcgrad import PCGrad

BALANCING: Registry[Balancing] = Registry(
    Balancing,
    key="name",
    group="cotune.balancing",
    classes={
        "dwa": DynamicWeightAverage,
        "none": NoBalancing,
        "pcgrad": PCGrad,
    },
)
"""The names a study file may write under ``training.balancing``."""

__all__ = ["BALANCING", "Balancing", "DynamicWeightAverage", "NoBalancing", "PCGrad"]

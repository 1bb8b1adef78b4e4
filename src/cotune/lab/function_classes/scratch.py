"""Training from random weights on one class or on several: what Fig. 4 of AdaGroup compares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from cotune.lab.function_classes._laws import FUNCTION_CLASSES
from cotune.lab.function_classes._model import StackedRegressor
from cotune.lab.function_classes._prompts import batches, generator
from cotune.lab.function_classes._settings import FunctionClassSettings
from cotune.lab.function_classes._training import train
from cotune.training.learner import Subset

_TIMES = 5
"""So many times more prompts than a run is scored on: single positions are compared, not their mean."""


def errors_from_scratch(
    config: FunctionClassSettings, subsets: Sequence[Subset]
) -> list[dict[str, NDArray[np.float64]]]:
    """Train a model from the same random weights on every subset, in one pass, and score it on each class.

    A model takes ``base_steps`` steps for each class of its subset, so that whoever is trained in company
    sees as many prompts of a class as who is trained on it alone.

    Parameters
    ----------
    config : FunctionClassSettings
        Model, recipe of the base model, and its seed.
    subsets : sequence of tuple of str
        Names of function classes, all subsets of one size.

    Returns
    -------
    list of dict of str to ndarray of shape (points,)
        By subset and class, the mean squared error of the predictions from 0, 1, ... examples on the test
        prompts.

    Raises
    ------
    RunError
        If a loss diverges.
    """
    (size,) = {len(subset) for subset in subsets}
    model = StackedRegressor(
        dimension=config.dimension,
        points=config.points,
        width=config.width,
        layers=config.layers,
        heads=config.heads,
        generator=generator("weights", config.base_seed),
    ).copies(len(subsets))
    streams = [
        batches(
            sorted(subset),
            batch_size=config.batch_size,
            points=config.points,
            dimension=config.dimension,
            key=("scratch", config.base_seed),
        )
        for subset in subsets
    ]
    names = [f"the model of {' + '.join(subset)}" for subset in subsets]
    train(model, streams, steps=size * config.base_steps, lr=config.base_lr, names=names)
    return [
        {name: _errors(config, model.member(index), name) for name in subset}
        for index, subset in enumerate(subsets)
    ]


def _errors(config: FunctionClassSettings, model: StackedRegressor, name: str) -> NDArray[np.float64]:
    source = generator("test", config.base_seed, name)
    count = _TIMES * config.eval_prompts
    x, y = FUNCTION_CLASSES[name].prompts(count, config.points, config.dimension, source)
    with torch.inference_mode():
        predicted = model(x.unsqueeze(0), y.unsqueeze(0)).squeeze(0)
    return np.asarray((predicted - y).square().mean(0).numpy(), dtype=np.float64)

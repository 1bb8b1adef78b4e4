from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from cotune._seals import sealed_file
from cotune.exceptions import InputError
from cotune.lab.function_classes._model import StackedRegressor


def save(model: StackedRegressor, path: Path) -> None:
    """Write a model's weights, whole or not at all, with their checksum beside them."""
    with sealed_file(path) as fresh:
        save_file(model.state_dict(), fresh)


def load(model: StackedRegressor, path: Path) -> StackedRegressor:
    """Fill a model with stored weights and return it.

    Raises
    ------
    InputError
        If the file is damaged or holds another model.
    """
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise InputError(
            f"{path} does not hold the weights of this model; delete it to have them trained again."
        ) from error
    return model

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from cotune._config import Config

if TYPE_CHECKING:
    from torch import nn

    from cotune.models import LanguageModel


class Method(Config):
    """What is trained on top of the shared base model; its fields are the method's options."""

    @abstractmethod
    def attach(self, model: LanguageModel) -> AbstractContextManager[nn.Module]:
        """Put fresh trainable parameters on the base; leaving the context restores the base as it was.

        Fresh parameters are drawn from torch's global generator, which the caller seeds.
        """

    def first_order_parameters(self, module: nn.Module) -> list[nn.Parameter]:
        """Return the fresh parameters whose gradient at the base model is not zero by construction."""
        return [parameter for parameter in module.parameters() if parameter.requires_grad]

    @abstractmethod
    def save(self, module: nn.Module, folder: Path) -> None:
        """Write what was trained into an existing folder, loadable by its own library alone."""

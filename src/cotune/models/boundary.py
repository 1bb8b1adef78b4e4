"""Where a frozen model is parted: what its lower layers make of a sequence, and the upper ones alone.

Nothing below the boundary is trained, so that what comes out of there for an example is the same in every
run. A causal model is parted between two of its layers, an encoder-decoder model at the end of its encoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from cotune.exceptions import InputError
from cotune.models._frozen import FrozenModel
from cotune.models.layers import layer_lists


class _ReachedError(Exception):
    """The layer above the boundary was to be computed."""

    def __init__(self, states: torch.Tensor) -> None:
        super().__init__()
        self.states = states


class Boundary:
    """A causal model parted below one of its layers, or an encoder-decoder model at the end of its encoder.

    Parameters
    ----------
    model : FrozenModel
        The model.
    at : int
        The first layer above the boundary of a causal model, from 1 to one less than it has; 0-based. Of an
        encoder-decoder model it is not looked at.
    """

    def __init__(self, model: FrozenModel, at: int) -> None:
        self._model = model
        self._layers = layer_lists(model.base)[0]
        self.at = len(self._layers) if model.seq2seq else at
        self._gives_tuple: int | None = None

    @property
    def width(self) -> int:
        """Numbers of a state, the vector that crosses the boundary at a token."""
        config = self._model.base.config.get_text_config()
        return int(getattr(config, "hidden_size", None) or config.d_model)

    def states(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Compute what crosses the boundary.

        Parameters
        ----------
        inputs : mapping of str to Tensor
            Of :attr:`Batch.inputs`.

        Returns
        -------
        Tensor of shape (rows, length, width)
            In the model's type, for gradients to start from.
        """
        base = self._model.base
        # Never tensors of inference mode: what is kept of them is trained on.
        with torch.inference_mode(False), torch.no_grad(), self._model.autocast():
            if self._model.seq2seq:
                encoder = base.get_encoder()
                found = encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
                states: torch.Tensor = found.last_hidden_state
                return states
            hooks = [
                self._layers[self.at].register_forward_pre_hook(_reach, with_kwargs=True),
                self._layers[0].register_forward_hook(self._note_form),
            ]
            try:
                base(**inputs, use_cache=False)
            except _ReachedError as reached:
                return reached.states
            finally:
                for hook in hooks:
                    hook.remove()
        raise InputError(
            f"learner.adapt_from: the architecture {base.config.model_type!r} does not compute its layers "
            "one after the other; take adapt_from away."
        )

    def _note_form(self, _: nn.Module, __: tuple[Any, ...], output: Any) -> None:
        self._gives_tuple = len(output) if isinstance(output, tuple) else None

    @contextmanager
    def above(self, inputs: Mapping[str, Any], states: torch.Tensor) -> Iterator[Mapping[str, Any]]:
        """Let passes within the context start from states; give what such a pass is called with.

        Parameters
        ----------
        inputs : mapping of str to Tensor
            What the pass would be called with.
        states : Tensor of shape (rows, length, width)
            Of :meth:`states`, for those inputs.
        """
        if self._model.seq2seq:
            rest = {name: value for name, value in inputs.items() if name != "input_ids"}
            yield {**rest, "encoder_outputs": BaseModelOutput(last_hidden_state=states)}
            return

        def put(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
            return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

        lower = self._layers[: self.at]
        for layer in lower:
            layer.forward = self._pass_by  # of the instance; the class keeps its own
        hook = self._layers[self.at].register_forward_pre_hook(put, with_kwargs=True)
        try:
            yield inputs
        finally:
            hook.remove()
            for layer in lower:
                del layer.forward

    def _pass_by(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        if self._gives_tuple is None:
            return hidden_states
        return (hidden_states, *[None] * (self._gives_tuple - 1))


def _reach(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    raise _ReachedError(args[0] if args else kwargs["hidden_states"])

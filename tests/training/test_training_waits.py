"""Nothing in a step asks a device for numbers: losses are read while the step after them is under way.

On a processor asking costs nothing, so what is counted is who asks. What lays batches out is left out: that
is done on the processor before they are sent. Where rows are padded and not packed, transformers itself looks
whether a mask masks anything; that is known, and counted apart.
"""

import sys
from contextlib import contextmanager
from itertools import cycle

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from cotune.exceptions import RunError
from cotune.models.moving import Awaited, sent
from cotune.training._loop import TrainingRun
from cotune.training._lora_stack import LoraStack, adapter_of, train_side_by_side
from cotune.training.batches import TaskBatch
from cotune.training.config import TrainingConfig
from cotune.training.methods import METHODS, Lora

MASKS = "transformers, whether a mask masks anything"
OPERATIONS = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
    "bincount",
    "equal",
}
CALLS = {"item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__", "__contains__"}


def who(name):
    """Return what asks: an operation of the loop, or one of those that are known by their file."""
    frame, files = sys._getframe(2), []
    while frame is not None:
        files.append(frame.f_code.co_filename)
        frame = frame.f_back
    known = {"masking_utils.py": MASKS, "soft_prompt.py": "prompt, on processors alone"}
    return next((told for file, told in known.items() if any(f.endswith(file) for f in files)), name)


class Asked(TorchDispatchMode):
    """Notes operations whose result the processor has to have before it goes on."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for index in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ())
        )
        if name in OPERATIONS or by_mask:
            self.found.append(who(name))
        return func(*args, **(kwargs or {}))


class Called(TorchFunctionMode):
    """Notes what of a tensor is read in Python."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name in CALLS and "randperm" not in str(getattr(args[0], "note", "")):
            self.found.append(who(name))
        return func(*args, **(kwargs or {}))


@contextmanager
def waits(model, monkeypatch):
    """Give what was asked of tensors, and how many steps were begun since that whose losses were read."""
    found, reads, begun = [], [], []
    laid, read, make = model.laid, Awaited.read, Awaited.__init__

    def outside(work):
        def done(*args, **kwargs):
            held = len(found)
            result = work(*args, **kwargs)
            del found[held:]
            return result

        return done

    def noted(self):
        reads.append(len(begun) - begun.index(self))
        return outside(read)(self)

    def noting(self, values):
        begun.append(self)
        make(self, values)

    with monkeypatch.context() as patch:
        patch.setattr(model, "laid", outside(laid))
        patch.setattr(Awaited, "read", noted)
        patch.setattr(Awaited, "__init__", noting)
        with Asked(found), Called(found):
            yield found, reads


def batches_of(model, encode):
    words = ["red", "green", "blue", "one"]
    examples = encode(model, [(word, word) for word in words] + [("red green", "blue green one")] * 2)
    return cycle([TaskBatch(examples[at : at + 4], ["a", "a", "b", "b"]) for at in (0, 2)])


RECIPES = {
    "adamw": {},
    "not clipped": {"clip": None, "schedule": "cosine"},
    "adafactor": {"optimizer": "adafactor"},
    "weights of tasks": {"task_weights": {"a": 2.0}},
    "in parts": {"pass_tokens": 30, "label_smoothing": 0.1},
    "pcgrad": {"balancing": {"name": "pcgrad"}},
}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("method", ["lora", "prompt"])
def test_no_step_waits_and_losses_are_read_a_step_later(recipe, method, model, encode, monkeypatch):
    if recipe == "pcgrad":  # its order is drawn on the processor
        drawn = torch.randperm
        monkeypatch.setattr(torch, "randperm", lambda n: _noted(drawn(n)))
    config = TrainingConfig(**{"batch_size": 4, "learning_rate": 0.01, **RECIPES[recipe]})
    chosen = {"name": method, **({"prompt_length": 3} if method == "prompt" else {})}
    batches = batches_of(model, encode)
    with METHODS.choose(chosen).attach(model, ("a", "b")) as attached:
        batches = ([e.under(attached.prompt_ids("a")) for e in batch] for batch in batches)
        batches = (TaskBatch(batch, ["a", "a", "b", "b"]) for batch in batches)
        run = TrainingRun(model, attached, 6, config)
        with waits(model, monkeypatch) as (found, reads):
            for _ in range(4):
                attached.module.train()
                run._step(next(batches))
        assert [one for one in found if one not in (MASKS, "prompt, on processors alone")] == []
        if not model.seq2seq and model.pack and recipe in ("adamw", "adafactor") and method != "prompt":
            assert found == []
        assert reads == [2, 2, 2], "each while the next was under way"
        assert len(run.log.losses) == 4, "who asks for the log waits"
        run.run(batches)
    assert len(run.log.losses) == 6


def _noted(order):
    order.note = "randperm"
    return order


def test_what_balances_by_losses_waits_for_them(model, encode, monkeypatch):
    config = TrainingConfig(batch_size=4, balancing={"name": "dwa", "period": 1})
    with Lora(r=2).attach(model) as attached, waits(model, monkeypatch) as (_, reads):
        run = TrainingRun(model, attached, 4, config)
        run.run(batches_of(model, encode))
    assert reads == [1, 1, 1, 1]


def test_many_side_by_side_do_not_wait_either(model, encode, monkeypatch):
    adapters = []
    for _ in range(2):
        with Lora(r=2).attach(model):
            adapters.append(adapter_of(model.base))
    streams, names = [batches_of(model, encode), batches_of(model, encode)], ["one", "other"]
    config = TrainingConfig(batch_size=4)
    with waits(model, monkeypatch) as (found, reads):
        train_side_by_side(model, LoraStack(adapters), streams, 4, config, names)
    assert reads == [2, 2, 2, 1]
    assert [one for one in found if one != MASKS] == ["tolist"], "whether the weights are finite, at the end"


def test_counting_sees_who_asks(model, encode, monkeypatch):
    """What the counts are worth: a loss that is read within the step is seen."""
    real = TrainingRun._update

    def asking(self):
        if self._parameters[0].grad.norm() > 0:
            real(self)

    monkeypatch.setattr(TrainingRun, "_update", asking)
    with Lora(r=2).attach(model) as attached, waits(model, monkeypatch) as (found, _):
        TrainingRun(model, attached, 2, TrainingConfig(batch_size=4))._step(next(batches_of(model, encode)))
    assert "_local_scalar_dense" in found


def test_a_loss_that_explodes_is_of_its_own_step(model, encode):
    told = []
    config = TrainingConfig(batch_size=4, max_loss=1e-3)
    with Lora(r=2).attach(model) as attached:
        run = TrainingRun(model, attached, 5, config)
        with pytest.raises(RunError, match="at step 1 of 5"):
            run.run(batches_of(model, encode), lambda step, loss: told.append(step))
    assert told == []


def test_a_copy_to_the_processor_is_the_tensor_itself():
    values = torch.arange(3.0)
    assert sent(values, torch.device("cpu")) is values
    assert Awaited(values).read() == [0.0, 1.0, 2.0]

"""What a training takes is counted from shapes: parts that are known are met, what passes keep is bounded."""

from pathlib import Path

import pytest
from torch.autograd.graph import saved_tensors_hooks

from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models.config import ModelConfig
from cotune.studies.engine._devices import parse_memory, said_of_memory
from cotune.training.config import TrainingConfig
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.memory_plan import MemoryPlan, plan_memory
from cotune.training.methods import METHODS


@pytest.fixture(scope="module")
def models():
    config = ModelConfig(model=str(TOY_CHECKPOINT), precision="fp32")
    encoder = config.encoder(Path())
    return config.load(Path(), encoder), config.skeleton(Path(), encoder)


def kept_of_a_token(model, attached):
    """Return the bytes that autograd keeps for a token of real examples."""
    tasks = toy_tasks(["copy"], train=8, validation=1, test=1)
    encoded = list(EncodedTasks(tasks, lambda: model.encoder).encoded("copy", "train"))
    batch = model.batch([one.under(attached.prompt_ids("copy")) for one in encoded])
    own = {p.untyped_storage().data_ptr() for p in (*model.base.parameters(), *attached.parameters)}
    kept = {}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    attached.module.train()
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        model.target_losses(attached.module, batch).sum()
    attached.module.eval()
    return sum(t.untyped_storage().nbytes() for t in kept.values()) / batch.inputs["input_ids"].numel()


@pytest.mark.parametrize("name", ["lora", "full", "prompt"])
def test_the_plan_meets_what_is_known_and_bounds_what_passes_keep(models, name):
    real, skeleton = models
    method = METHODS.choose({"name": name, **({"prompt_length": 4} if name == "prompt" else {})})
    arguments = {"precision": "fp32", "pass_tokens": 100, "example_tokens": 16}
    plan = plan_memory(skeleton, method, TrainingConfig(), ("copy",), **arguments)
    assert plan.weights == sum(p.numel() * p.element_size() for p in real.base.parameters())
    with method.attach(real, ("copy",)) as attached:
        numbers = sum(p.numel() for p in attached.parameters)
        each = kept_of_a_token(real, attached)
    assert (plan.trained, plan.optimiser) == (8 * numbers, 8 * numbers)
    assert 0.5 * each < plan.activations / 100 < 4 * each
    assert plan.total == plan.fixed + plan.activations
    half = plan_memory(skeleton, method, TrainingConfig(), ("copy",), **{**arguments, "precision": "bf16"})
    assert half.weights == plan.weights // 2
    small = plan_memory(skeleton, method, TrainingConfig(), ("copy",), **{**arguments, "precision": "nf4"})
    assert small.weights < half.weights


def test_what_does_not_fit_is_said():
    plan = MemoryPlan(8 * 10**9, 10**9, 10**9, 6 * 10**9, 16_384)
    assert said_of_memory(plan, 80 * 10**9) == said_of_memory(plan, None)
    assert "16 GB in all" in said_of_memory(plan, None)
    assert "passes of 16,384 tokens" in said_of_memory(plan, None)
    assert said_of_memory(plan, 12 * 10**9).endswith("A GPU has 12 GB: passes will be taken in halves.")
    assert "does not fit a GPU of 9.0 GB" in said_of_memory(plan, 9 * 10**9)
    assert parse_memory("81559\n40960\n") == 40960 << 20
    assert parse_memory("") is None

"""What is promised of a GPU, put to a real one where there is one, and to the processor everywhere."""

import warnings
from importlib.util import find_spec
from itertools import islice, repeat

import pytest
import torch

from cotune.exceptions import RunError
from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import LanguageModel, memory
from cotune.models.moving import sent
from cotune.training._loop import TrainingRun
from cotune.training._lora_stack import LoraStack, adapter_of, train_side_by_side
from cotune.training.batches import as_task_batch
from cotune.training.config import TrainingConfig
from cotune.training.encoded_tasks import EncodedTasks
from cotune.training.methods import Lora

WITHOUT = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, WITHOUT])]
ON_GPU = DEVICES[1:]
METHOD = Lora(r=4)
RECIPE = TrainingConfig(batch_size=4, tasks_per_batch=1, learning_rate=0.003, warmup=0)
STEPS = 6


@pytest.fixture(scope="module")
def tasks():
    return toy_tasks(["copy", "max", "less"], train=16, validation=1, test=1)


@pytest.fixture(autouse=True)
def fresh_limits(monkeypatch):
    monkeypatch.setattr(memory, "_limits", {})


def load(device, precision="fp32"):
    return LanguageModel.load(TOY_CHECKPOINT, precision=precision, device=device)


def batches(model, tasks, name, training=RECIPE):
    """Give one batch again and again, so that its loss falls."""
    data = EncodedTasks(tasks, lambda: model.encoder)
    drawn = data.batches((name,), training, 0, prompt_ids=lambda task: (), context=model.context)
    return repeat(next(drawn))


def first_values(model, seed=0):
    """Draw what a LoRA begins with, the same for every device."""
    torch.manual_seed(seed)
    with METHOD.attach(model) as attached:
        return [parameter.detach().cpu().clone() for parameter in attached.parameters]


def losses(model, tasks, name="copy", training=RECIPE, *, start=None, steps=STEPS):
    with METHOD.attach(model) as attached, torch.no_grad():
        for parameter, value in zip(attached.parameters, start or first_values(model), strict=True):
            parameter.copy_(value)
        with torch.enable_grad():
            run = TrainingRun(model, attached, steps, training)
            run.run(batches(model, tasks, name, training))
        return run.log.losses


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("precision", "apart"), [("fp32", 1e-3), ("bf16", 0.05)])
def test_losses_of_a_device_are_those_of_the_processor(device, precision, apart, tasks):
    there, here = load(device, precision), load("cpu", precision)
    start = first_values(here)
    ours = losses(there, tasks, start=start)
    assert ours == pytest.approx(losses(here, tasks, start=start), rel=apart)
    assert ours[-1] < ours[0]


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("device", ON_GPU)
@pytest.mark.parametrize("precision", ["int8", "nf4"])
def test_adapters_learn_on_quantised_weights(device, precision, tasks):
    model = load(device, precision)
    assert model.base.is_quantized
    found = losses(model, tasks, steps=8)
    assert found[-1] < found[0]


@pytest.mark.parametrize("device", DEVICES)
def test_adapters_side_by_side_are_each_alone(device, tasks):
    model = load(device)
    names = ["copy", "max", "less"]
    alone = [losses(model, tasks, name, start=first_values(model, at)) for at, name in enumerate(names)]
    adapters = []
    for at in range(len(names)):
        torch.manual_seed(at)
        with METHOD.attach(model):
            adapters.append(adapter_of(model.base))
    streams = [batches(model, tasks, name) for name in names]
    logs = train_side_by_side(model, LoraStack(adapters), streams, STEPS, RECIPE, names)
    for log, one in zip(logs, alone, strict=True):
        assert log.losses == pytest.approx(one, rel=1e-3)


@pytest.mark.parametrize("device", ON_GPU)
def test_a_pass_that_a_gpu_has_no_memory_for_is_halved(device, tasks):
    model = load(device)
    recipe = RECIPE.model_copy(update={"batch_size": 64, "pass_tokens": 10**6})
    whole = losses(model, tasks, training=recipe, steps=2)
    needed = torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    weights = torch.cuda.memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((weights + 0.6 * (needed - weights)) / total)
    try:
        with memory.telling() as told:
            parted = losses(model, tasks, training=recipe, steps=2)
    except RunError as error:  # no smaller pass fits the allocator's blocks
        pytest.skip(f"The model is too small to be parted: {error}")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert told, "it ran out"
    assert parted == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize("device", ON_GPU)
def test_no_step_waits_for_the_gpu(device, tasks):
    """Torch itself tells who waits; transformers does, where rows are padded, to see whether they are."""
    model = load(device)
    with METHOD.attach(model) as attached:
        run = TrainingRun(model, attached, 8, RECIPE)
        drawn = batches(model, tasks, "copy")
        run.run(islice(drawn, 3))  # what is made once may wait
        attached.module.train()
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                for batch in islice(drawn, 4):
                    run._step(as_task_batch(batch))
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [one for one in told if "synchroniz" in str(one.message)]
    assert [one.filename for one in waits if not one.filename.endswith("masking_utils.py")] == []


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_sent_while_a_device_is_at_work_arrives_whole(device):
    """Copies overtake the work; what reads them, and what later copies are given, must not."""
    place = torch.device(device)
    drawn = [torch.randn(256, 256, generator=torch.Generator().manual_seed(seed)) for seed in range(20)]
    busy, total = torch.eye(256, device=place), torch.zeros(256, 256, device=place)
    for one in drawn:
        for _ in range(20):
            busy = busy @ busy
        total += busy @ sent(one, place)  # the copy is let go of at once, and its memory used again
    assert torch.equal(total.cpu(), sum(drawn, torch.zeros(256, 256)))

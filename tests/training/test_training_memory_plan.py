"""What a training takes is counted from shapes, and is what real trainings of real small models take."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from cotune.lab.toy_language import TOY_CHECKPOINT, toy_tasks
from cotune.models import Encoded, LanguageModel
from cotune.models.config import ModelConfig
from cotune.models.encoding import load_encoder
from cotune.training._live import LiveBytes
from cotune.training._loop import TrainingRun
from cotune.training.batches import TaskBatch
from cotune.training.config import TrainingConfig
from cotune.training.memory_plan import Longest, plan_memory
from cotune.training.methods import METHODS

LONG = Longest(72, 24)
PROMPT = {"name": "prompt", "prompt_length": 4}


def real(folder, precision="fp32"):
    return LanguageModel.load(folder, precision=precision, device="cpu", pack=False)


def plan(folder, method, precision="fp32", longest=LONG, **changes):
    copies, beside = changes.pop("copies", 1), changes.pop("beside", None)
    training = TrainingConfig(**{"batch_size": 4, "tasks_per_batch": 1, "pass_tokens": 4096, **changes})
    skeleton = LanguageModel.skeleton(folder, load_encoder(folder))
    options = {"precision": precision, "device": "cpu", "copies": copies, "beside": beside}
    return plan_memory(skeleton, METHODS.choose(method), training, ("a",), longest, **options)


def measured(model, method, rows=4, longest=LONG, beside=None):
    """Return the bytes of tensors at most of a real training of two steps."""
    chosen = METHODS.choose(method)
    config = TrainingConfig(batch_size=rows, tasks_per_batch=1, pass_tokens=4096, replay=chosen.beside)
    there = [*model.base.parameters(), *model.base.buffers()]
    with LiveBytes(there) as live, chosen.attach(model, ("a",)) as attached:
        examples = [like(longest).under(attached.prompt_ids("a"))] * rows
        others = [like(beside)] * round(rows * chosen.beside.ratio) if beside else []
        TrainingRun(model, attached, 2, config).run([TaskBatch(examples, ["a"] * rows, others)] * 2)
    return live.most


def like(longest):
    return Encoded((5,) * longest.prompt, (6,) * longest.target)


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
@pytest.mark.parametrize("method", [{"name": "lora"}, {"name": "full"}, PROMPT], ids=lambda m: m["name"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_plan_is_what_a_training_takes(kind, method, precision, request):
    folder = request.getfixturevalue(f"tiny_{kind}")
    ratio = plan(folder, method, precision).total / measured(real(folder, precision), method)
    assert (0.85 < ratio < 1.3) if precision == "fp32" else (0.85 < ratio < 1.6)


@pytest.mark.parametrize("weights", ["lora", "full"])
@pytest.mark.parametrize("name", ["replay", "kl_to_base"])
def test_what_stands_beside_the_examples_is_counted(name, weights, tiny_causal):
    others = {"tasks": "*", "shots": 2, "ratio": 1.0}
    method, beside = {"name": name, "weights": {"name": weights}, "others": others}, Longest(60, 60)
    few = Longest(6, 2)
    found = plan(tiny_causal, method, longest=few, beside=beside)
    taken = measured(real(tiny_causal), method, longest=few, beside=beside)
    assert 0.85 < found.total / taken < 1.3
    assert found.pass_tokens == 4 * sum(beside)
    alone = plan(tiny_causal, {"name": weights}, longest=few)
    assert found.activations > 5 * alone.activations
    assert found.fixed == alone.fixed, "the base is no second copy"


def test_the_distributions_of_the_base_are_counted(tiny_causal):
    others = {"tasks": "*", "shots": 2, "ratio": 1.0}
    options = {"weights": {"name": "lora"}, "others": others}
    plans = {
        name: plan(tiny_causal, {"name": name, **options}, longest=Longest(6, 2), beside=Longest(6, 60))
        for name in ("replay", "kl_to_base")
    }
    # A number for every token of the vocabulary at every one that is learned: those of the base, and more.
    logits = 4 * 4 * 60 * real(tiny_causal).vocabulary_size
    assert plans["kl_to_base"].activations >= plans["replay"].activations + logits


def test_text_beside_the_examples_is_as_long_as_the_recipe_says(tiny_causal):
    text = {"text": {"source": "files", "path": "corpus.txt"}, "seq_len": 100, "ratio": 0.5}
    method = {"name": "replay", "weights": {"name": "lora"}, "others": text}
    found = plan(tiny_causal, method, longest=Longest(6, 2))
    assert found.pass_tokens == 2 * 100


@pytest.mark.parametrize("method", [{"name": "lora"}, {"name": "full"}, PROMPT], ids=lambda m: m["name"])
def test_parts_that_are_known_are_met(method):
    model = real(TOY_CHECKPOINT)
    found = plan(TOY_CHECKPOINT, method)
    assert found.weights == sum(p.numel() * p.element_size() for p in model.base.parameters())
    with METHODS.choose(method).attach(model, ("a",)) as attached:
        numbers = sum(p.numel() for p in attached.parameters)
    assert (found.trained, found.optimiser) == (8 * numbers, 8 * numbers)
    assert found.total == found.fixed + found.activations
    beside = plan(TOY_CHECKPOINT, method, copies=3)
    assert (beside.trained, beside.optimiser) == (24 * numbers, 24 * numbers)
    assert plan(TOY_CHECKPOINT, method, "bf16").weights == found.weights // 2
    if method["name"] != "full":
        nf4 = plan(TOY_CHECKPOINT, method, "nf4").weights
        assert nf4 < plan(TOY_CHECKPOINT, method, "int8").weights < found.weights


def test_a_stage_takes_what_it_trains_and_the_largest_counts(tiny_causal):
    both = plan(tiny_causal, {"name": "promot", "prompt_length": 4, "weights": {"name": "lora"}})
    lora = plan(tiny_causal, {"name": "lora"})
    assert lora.optimiser == both.optimiser, "the prompt is frozen in the stage of the weights"
    assert lora.trained < both.trained, "but there"
    adafactor = plan(tiny_causal, {"name": "full"}, optimizer="adafactor")
    assert adafactor.optimiser < plan(tiny_causal, {"name": "full"}).optimiser / 8


def test_weights_that_are_as_in_their_file_are_held_once(tiny_causal):
    found = plan(tiny_causal, {"name": "lora"})
    assert found.mapped == found.weights
    assert plan(tiny_causal, {"name": "lora"}, "bf16").mapped == 0
    assert found.of(3) == 3 * found.total - 2 * found.weights
    # They really are: a worker reads the pages of the file.
    first = next(real(tiny_causal).base.parameters()).data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines() if Path("/proc/self/maps").exists() else ():
        begin, end = (int(at, 16) for at in line.split()[0].split("-"))
        assert not begin <= first < end or line.endswith("model.safetensors")


@pytest.fixture(scope="module")
def layered(tmp_path_factory):
    """Models of one to three layers."""
    folders = {}
    for layers in (1, 2, 3):
        folder = tmp_path_factory.mktemp("layers") / str(layers)
        config = LlamaConfig(
            vocab_size=64,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=1,
        )
        LlamaForCausalLM(config).save_pretrained(folder)
        load_encoder(TOY_CHECKPOINT).tokenizer.save_pretrained(folder)
        folders[layers] = LanguageModel.skeleton(folder, load_encoder(folder))
    return folders


@given(
    layers=st.integers(1, 2),
    rows=st.integers(1, 8),
    prompt=st.integers(2, 60),
    target=st.integers(1, 20),
    tokens=st.integers(16, 512),
    r=st.integers(1, 8),
    copies=st.integers(1, 4),
)
@settings(max_examples=5)
def test_more_takes_more(layered, layers, rows, prompt, target, tokens, r, copies):
    def total(layers=layers, rows=rows, tokens=tokens, r=r, copies=copies, prompt=prompt):
        recipe = TrainingConfig(batch_size=rows, tasks_per_batch=1, pass_tokens=tokens)
        found = plan_memory(
            layered[layers],
            METHODS.choose({"name": "lora", "r": r, "target_modules": ["q_proj"]}),
            recipe,
            ("a",),
            Longest(prompt, target),
            precision="fp32",
            device="cpu",
            copies=copies,
        )
        assert found.activations > 0
        return found.total

    before = total()
    assert total(layers=layers + 1) > before
    assert total(rows=rows + 1) >= before
    assert total(tokens=2 * tokens) >= before
    assert total(r=r + 1) > before
    assert total(copies=copies + 1) > before


def test_counting_leaves_the_skeleton_as_it_was():
    config = ModelConfig(model=str(TOY_CHECKPOINT), precision="fp32")
    skeleton = config.skeleton(Path(), config.encoder(Path()))
    before = {name: (p.dtype, p.requires_grad) for name, p in skeleton.base.named_parameters()}
    attention = torch.nn.functional.scaled_dot_product_attention
    longest = Longest.of(
        [skeleton.encoder.encode(str, e.input, e.targets[0]) for e in toy_tasks(["copy"])[0]["train"][:4]]
    )
    for precision in ("bf16", "nf4"):
        options = {"precision": precision, "device": "cuda"}
        plan_memory(
            skeleton, METHODS.choose({"name": "lora"}), TrainingConfig(), ("copy",), longest, **options
        )
    assert {n: (p.dtype, p.requires_grad) for n, p in skeleton.base.named_parameters()} == before
    assert torch.nn.functional.scaled_dot_product_attention is attention

import warnings

import numpy as np
import peft
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GemmaConfig,
    GemmaForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
)

from cotune.exceptions import InputError
from cotune.models import LanguageModel, SoftPrompts
from cotune.models.soft_prompt import embedding_of

PAIRS = [("apple", "red"), ("one two three", "four"), ("grape", "green blue one"), ("fig", "six")]
OTHER = "Write the word backwards, letter by letter, from the last to the first."


@pytest.fixture(params=["causal", "seq2seq"])
def model(request) -> LanguageModel:
    return request.getfixturevalue(request.param)


def drawn(model, *names, length=5, seed=0, init="uniform"):
    torch.manual_seed(seed)
    return SoftPrompts.draw(model, names or ("task",), length, init)


def test_dropping_the_prompt_gives_exactly_the_model_without_it(model, encode):
    batch = model.batch(encode(model.encoder, PAIRS))
    expected = model.target_losses(model.base, batch)
    prompts = drawn(model)
    with prompts.attached():
        assert torch.equal(model.target_losses(model.base, batch), expected)
        under = model.batch([e.under(prompts.ids("task")) for e in encode(model.encoder, PAIRS)])
        assert not torch.allclose(model.target_losses(model.base, under), expected, atol=1e-3)
    assert torch.equal(model.target_losses(model.base, batch), expected)


def test_the_module_tree_is_left_as_it_is(model):
    names = list(model.base.state_dict())
    with drawn(model).attached():
        assert list(model.base.state_dict()) == names
    embedding = embedding_of(model)
    assert not embedding._forward_hooks
    assert not embedding._forward_pre_hooks


def test_a_prompt_of_embeddings_is_the_text_of_those_tokens(model, encode):
    """Vectors that are those of real tokens have to do what these tokens do."""
    tokens = [7, 50, 9]
    prompts = SoftPrompts(model, {"task": embedding_of(model)(torch.tensor(tokens)).detach()})
    examples = encode(model.encoder, PAIRS)
    with prompts.attached():
        soft = model.nll(model.base, [e.under(prompts.ids("task")) for e in examples])
        texts = model.generate(model.base, [e.under(prompts.ids("task")) for e in examples], max_new_tokens=5)
    hard = [e.under(tuple(tokens)) for e in examples]
    np.testing.assert_allclose(soft, model.nll(model.base, hard), atol=1e-6)
    assert texts == model.generate(model.base, hard, max_new_tokens=5)


def test_a_saved_prompt_has_the_same_logits_in_plain_peft(model, encode, tmp_path, no_network):
    prompts = drawn(model, "one", "two", length=6)
    prompts.save("two", tmp_path)
    example = encode(model.encoder, PAIRS)[1]
    with prompts.attached():
        ours = model.target_losses(model.base, model.batch([example.under(prompts.ids("two"))]))
    auto = AutoModelForSeq2SeqLM if model.seq2seq else AutoModelForCausalLM
    base = auto.from_pretrained(model.base.config.name_or_path, local_files_only=True)
    loaded = peft.PeftModel.from_pretrained(base, tmp_path).eval()
    assert loaded.active_peft_config.base_model_name_or_path == model.base.config.name_or_path
    rest = {"decoder_input_ids": torch.tensor([[0, *example.target[:-1]]])} if model.seq2seq else {}
    ids = example.prompt if model.seq2seq else (*example.prompt, *example.target[:-1])
    logits = loaded(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), **rest).logits[0]
    targets = torch.tensor(example.target)
    theirs = torch.nn.functional.cross_entropy(logits[-len(targets) :], targets, reduction="none")
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_prompts_of_several_tasks_mix_in_a_batch(model, encode):
    prompts = drawn(model, "one", "two")
    one, two = encode(model.encoder, PAIRS[:2]), encode(model.encoder, PAIRS[2:], OTHER)
    mixed = [
        one[0].under(prompts.ids("one")),
        two[0].under(prompts.ids("two")),
        one[1],
        two[1].under(prompts.ids("two")),
    ]
    with prompts.attached():
        together = model.nll(model.base, mixed)
        alone = [model.nll(model.base, [example])[0] for example in mixed]
    np.testing.assert_allclose(together, alone, atol=2e-5)
    assert not set(prompts.ids("one")) & set(prompts.ids("two"))


def test_a_shared_prompt_is_packed_like_any_prefix(causal, tiny_causal, encode):
    prompts = drawn(causal, length=12)
    examples = [e.under(prompts.ids("task")) for e in encode(causal.encoder, PAIRS)]
    plain = LanguageModel.load(tiny_causal, precision="fp32", device="cpu", pack=False)
    assert causal.batch(examples).inputs["input_ids"].shape[0] == 1
    others = SoftPrompts(plain, prompts.parameters)
    with prompts.attached(), others.attached():
        np.testing.assert_allclose(
            causal.nll(causal.base, examples), plain.nll(plain.base, examples), atol=2e-5
        )


def test_gradients_reach_the_prompts_that_are_read_and_no_others(model, encode):
    prompts = drawn(model, "one", "two")
    examples = [e.under(prompts.ids("one")) for e in encode(model.encoder, PAIRS)]
    with prompts.attached():
        model.target_losses(model.base, model.batch(examples)).mean().backward()
    assert (prompts.parameters["one"].grad.abs().sum(1) > 0).all()
    assert (prompts.parameters["two"].grad == 0).all()
    assert all(p.grad is None for p in model.base.parameters())


def test_vectors_of_a_half_precision_model_are_kept_in_single(tiny_causal, encode):
    model = LanguageModel.load(tiny_causal, precision="bf16", device="cpu")
    prompts = drawn(model, init="vocabulary")
    assert prompts.parameters["task"].dtype == torch.float32
    examples = [e.under(prompts.ids("task")) for e in encode(model.encoder, PAIRS)]
    with prompts.attached():
        model.target_losses(model.base, model.batch(examples)).mean().backward()
    assert prompts.parameters["task"].grad.dtype == torch.float32


def test_fresh_vectors_are_embeddings_of_frequent_tokens_none_twice(model):
    table = model.base.get_input_embeddings().weight
    vectors = drawn(model, length=40, init="vocabulary").parameters["task"]
    rows = [int((table == vector).all(1).nonzero()) for vector in vectors]
    assert len(set(rows)) == 40
    assert not set(rows) & set(model.tokenizer.all_special_ids)
    assert rows != sorted(rows)


def test_a_prompt_longer_than_the_vocabulary_takes_tokens_again(model):
    n_tokens = len(model.tokenizer) - len(set(model.tokenizer.all_special_ids))
    vectors = drawn(model, length=n_tokens + 3, init="vocabulary").parameters["task"]
    assert len(torch.unique(vectors, dim=0)) == n_tokens


def test_fresh_vectors_may_be_uniform_and_follow_the_seed(model):
    first, again, other = (drawn(model, length=50, seed=s).parameters["task"] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.abs().max() <= 0.5
    assert first.std().item() == pytest.approx(1 / np.sqrt(12), rel=0.1)


def test_two_prompts_of_one_draw_differ(model):
    for init in ("uniform", "vocabulary"):
        one, two = drawn(model, "one", "two", init=init).parameters.values()
        assert not torch.equal(one, two)


def architectures(n_tokens):
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    gemma = GemmaConfig(vocab_size=n_tokens, **sizes, num_key_value_heads=1, head_dim=8)
    gpt2 = GPT2Config(vocab_size=n_tokens, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    torch.manual_seed(0)
    return {"gemma": GemmaForCausalLM(gemma), "gpt2": GPT2LMHeadModel(gpt2)}


@pytest.mark.parametrize("name", ["gemma", "gpt2"])
def test_scaled_embeddings_and_learned_positions_are_as_in_peft(name, causal_encoder, encode, tmp_path):
    model = LanguageModel(architectures(len(causal_encoder.tokenizer))[name], causal_encoder)
    prompts = drawn(model, length=6, init="vocabulary")
    prompts.save("task", tmp_path)
    example = encode(model.encoder, PAIRS[:1], "Copy.")[0].under(prompts.ids("task"))
    with prompts.attached():
        ours = model.target_losses(model.base, model.batch([example]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = peft.PeftModel.from_pretrained(model.base, tmp_path).eval()
    ids = (*example.prompt[6:], *example.target[:-1])
    logits = loaded(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))).logits[0]
    targets = torch.tensor(example.target)
    theirs = torch.nn.functional.cross_entropy(logits[-len(targets) :], targets, reduction="none")
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_a_prompt_as_long_as_the_context_is_refused(causal_encoder):
    model = LanguageModel(architectures(len(causal_encoder.tokenizer))["gpt2"], causal_encoder)
    drawn(model, length=63)
    with pytest.raises(InputError, match=r"^A prompt_length of 64 tokens leaves no .* context of 64 tokens"):
        drawn(model, length=64)

import pytest
import torch
from models_samples import OTHER, PAIRS, louder, write

from cotune.models import Encoded, LanguageModel


@pytest.fixture(scope="module", params=["causal", "seq2seq"])
def talkative(request, tiny_causal, tiny_seq2seq, one_thread):
    """A random model that writes something different after every prompt, with its prompts."""
    folder = {"causal": tiny_causal, "seq2seq": tiny_seq2seq}[request.param]
    model = LanguageModel.load(folder, precision="fp32", device="cpu")
    louder(model.base)
    return model


def test_prompts_generated_together_are_completed_as_each_alone(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS) + encode(talkative.encoder, PAIRS[:3], OTHER)
    together = talkative.generate(talkative.base, prompts, max_new_tokens=8, batch_tokens=100_000)
    alone = [talkative.generate(talkative.base, [prompt], max_new_tokens=8)[0] for prompt in prompts]
    assert together == alone
    assert len(set(together)) > 5


def test_generation_is_greedy(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS[:3])
    expected = [
        talkative.tokenizer.decode(write(talkative, prompt, 6), skip_special_tokens=True).strip()
        for prompt in prompts
    ]
    assert talkative.generate(talkative.base, prompts, max_new_tokens=6) == expected


def renewed(model, **settings):
    """Load the same weights anew, with settings of generation of the checkpoint's own."""
    base = type(model.base)(model.base.config)
    base.load_state_dict(model.base.state_dict())
    for name, value in settings.items():
        setattr(base.generation_config, name, value)
    return LanguageModel(base, model.encoder)


def test_a_checkpoints_own_sampling_settings_do_not_count(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS)
    expected = talkative.generate(talkative.base, prompts, max_new_tokens=8)
    settings = {"repetition_penalty": 5.0, "no_repeat_ngram_size": 1, "do_sample": True, "temperature": 9.0}
    chatty = renewed(talkative, **settings)
    assert chatty.generate(chatty.base, prompts, max_new_tokens=8) == expected


@pytest.mark.parametrize("own", [None, 7, [7, 8]])
def test_generation_ends_at_the_token_that_closes_targets(talkative, encode, own):
    prompts = encode(talkative.encoder, PAIRS)
    model = renewed(talkative, eos_token_id=own)
    end = model.tokenizer.eos_token_id
    written = write(model, prompts[0], 8)
    at, stop = next((i, t) for i, t in enumerate(written) if i and written.index(t) == i and t != end)
    # Two tokens swapped in the tied embedding are two tokens swapped in all that is read and written.
    with torch.no_grad():
        weights = model.base.get_input_embeddings().weight
        weights[[stop, end]] = weights[[end, stop]]
    swap = {stop: end, end: stop}
    prompt = Encoded(tuple(swap.get(token, token) for token in prompts[0].prompt), ())
    expected = model.tokenizer.decode(written[:at], skip_special_tokens=True).strip()
    assert model.generate(model.base, [prompt], max_new_tokens=8) == [expected]


def test_generation_still_ends_at_the_checkpoints_own_ends(talkative, encode):
    (prompt,) = encode(talkative.encoder, PAIRS[:1])
    written = write(talkative, prompt, 8)
    at = next(i for i, token in enumerate(written) if i and written.index(token) == i)
    model = renewed(talkative, eos_token_id=[written[at], 1])
    expected = model.tokenizer.decode(written[: at + 1], skip_special_tokens=True).strip()
    assert model.generate(model.base, [prompt], max_new_tokens=8) == [expected]


def test_a_completion_ends_at_a_stop_and_holds_all_before_it(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS)
    whole = talkative.generate(talkative.base, prompts, max_new_tokens=10)
    stop = whole[0][3]
    ended = talkative.generate(talkative.base, prompts, max_new_tokens=10, stops=(stop, "no such text"))
    assert [text.split(stop)[0] for text in ended] == [text.split(stop)[0] for text in whole]
    assert all(text.startswith(short) for text, short in zip(whole, ended, strict=True))
    assert len(ended[0]) < len(whole[0])


def test_nothing_is_computed_beyond_a_stop(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS)
    talkative.generate(talkative.base, prompts, max_new_tokens=1)
    passes = []
    hook = talkative.base.register_forward_hook(lambda *_: passes.append(1))
    talkative.generate(talkative.base, prompts, max_new_tokens=10)
    n_whole = len(passes)
    passes.clear()
    talkative.generate(talkative.base, prompts, max_new_tokens=10, stops=("",))
    hook.remove()
    assert n_whole - len(passes) >= 8


def test_beams_are_those_of_transformers_for_each_prompt_alone(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS)
    expected = []
    for prompt in prompts:
        ids = torch.tensor([prompt.prompt])
        out = talkative.base.generate(ids, num_beams=4, max_new_tokens=8, use_cache=True)
        start = 1 if talkative.seq2seq else ids.shape[1]
        expected.append(talkative.tokenizer.decode(out[0, start:], skip_special_tokens=True).strip())
    beams = talkative.generate(talkative.base, prompts, num_beams=4, max_new_tokens=8, stops=("e",))
    assert beams == expected
    assert beams != talkative.generate(talkative.base, prompts, max_new_tokens=8)

import pytest
import torch
from models_samples import OTHER, PAIRS, louder
from scipy import stats

from cotune.exceptions import InputError
from cotune.models import LanguageModel, Sampling
from cotune.models.sampling import Sampler

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0])


@pytest.fixture(scope="module", params=["rows", "batches", "seq2seq"])
def talkative(request, tiny_causal, tiny_seq2seq, one_thread):
    """A random model that writes something different after every prompt, by each way of generating."""
    folder = tiny_seq2seq if request.param == "seq2seq" else tiny_causal
    pack = {"rows": True, "batches": False, "seq2seq": None}[request.param]
    model = LanguageModel.load(folder, precision="fp32", device="cpu", pack=pack)
    louder(model.base, 4)
    return model


def draws(sampling, n=4000):
    sampler = Sampler(sampling)
    return torch.cat([sampler.perturb(LOGITS.expand(4, -1), range(4)).argmax(-1) for _ in range(n // 4)])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax_at_the_temperature(temperature):
    counts = torch.bincount(draws(Sampling(3, temperature)), minlength=5)
    expected = 4000 * (LOGITS.double() / temperature).softmax(-1)
    assert stats.chisquare(counts.numpy(), expected.numpy()).pvalue > 1e-3


def test_the_nucleus_holds_the_fewest_tokens_that_have_the_probability():
    # Probabilities 0.57, 0.21, 0.13, 0.08, 0.03: two tokens have more than 0.7, one does not.
    drawn = draws(Sampling(3, top_p=0.7))
    assert set(drawn.tolist()) == {0, 1}
    share = float((drawn == 0).double().mean())
    assert share == pytest.approx(float(LOGITS[:2].softmax(-1)[0]), abs=0.03)
    assert set(draws(Sampling(3, top_p=1e-6), 40).tolist()) == {0}


def test_a_prompt_is_completed_the_same_whatever_it_is_batched_with(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS) + encode(talkative.encoder, PAIRS[:3], OTHER)
    sampling = Sampling(5, temperature=1.5)
    sizes = [100_000, 30]
    by_size = [
        talkative.generate(
            talkative.base, prompts, max_new_tokens=8, batch_tokens=size, sampling=sampling, stops=("z",)
        )
        for size in sizes
    ]
    assert by_size[0] == by_size[1]
    (alone,) = talkative.generate(talkative.base, prompts[:1], max_new_tokens=8, sampling=sampling)
    assert alone.split("z")[0] == by_size[0][0].split("z")[0]


def test_seeds_and_equal_prompts_give_texts_of_their_own(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS[:1]) * 6

    def texts(seed):
        sampling = Sampling(seed, temperature=1.5)
        return talkative.generate(talkative.base, prompts, max_new_tokens=6, sampling=sampling)

    assert texts(0) == texts(0)
    assert len(set(texts(0))) == 6
    assert not set(texts(0)) & set(texts(1))


def test_little_temperature_is_greedy(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS)
    cold = talkative.generate(
        talkative.base, prompts, max_new_tokens=6, sampling=Sampling(0, temperature=1e-4)
    )
    assert cold == talkative.generate(talkative.base, prompts, max_new_tokens=6)


@pytest.mark.parametrize(("options", "words"), [({"temperature": 0.0}, "above 0"), ({"top_p": 1.5}, "top_p")])
def test_numbers_out_of_range_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Sampling(0, **options)


def test_sampling_goes_without_beams(talkative, encode):
    prompts = encode(talkative.encoder, PAIRS[:1])
    with pytest.raises(InputError, match="num_beams must be 1, got 3"):
        talkative.generate(talkative.base, prompts, num_beams=3, sampling=Sampling(0))

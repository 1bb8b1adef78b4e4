import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models_samples import ARCHITECTURES, OTHER, PAIRS, louder, tiny

from cotune.models import Encoded, LanguageModel
from cotune.models.exactness import rows_are_exact
from cotune.models.generation import RowDecoder, generate_batches
from cotune.models.likelihood import batch_losses, row_losses
from cotune.models.shared_row import SharedRow, TokenTree
from cotune.models.soft_prompt import SoftPrompts

TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=6)


@given(sequences=st.lists(TOKENS, min_size=1, max_size=8), n_prefix=st.integers(0, 4))
def test_a_tree_holds_every_beginning_once_and_each_token_sees_its_own(sequences, n_prefix):
    tree = TokenTree(n_prefix)
    paths = [tree.add(sequence) for sequence in sequences]
    assert len(tree) == len({tuple(s[: i + 1]) for s in sequences for i in range(len(s))})
    visible = tree.visible()
    assert visible.shape == (len(tree), n_prefix + len(tree))
    assert visible[:, :n_prefix].all()
    for sequence, path in zip(sequences, paths, strict=True):
        assert [tree.tokens[column] for column in path] == sequence
        assert [tree.positions[column] for column in path] == list(range(n_prefix, n_prefix + len(path)))
        for depth, column in enumerate(path):
            assert set(np.flatnonzero(visible[column, n_prefix:])) == set(path[: depth + 1])


@pytest.fixture(scope="module")
def loud(tiny_causal, one_thread):
    """A random decoder-only model that tells prompts apart."""
    model = LanguageModel.load(tiny_causal, precision="fp32", device="cpu")
    louder(model.base)
    return model


@pytest.fixture(params=["plain", "under a soft prompt"])
def prompts(request, loud, encode):
    """Prompts of one task, of unequal lengths, some twice, with or without a soft prompt before them."""
    encoded = encode(loud.encoder, [*PAIRS, *PAIRS[:2], *PAIRS[::-1]])
    if request.param == "plain":
        yield encoded
        return
    torch.manual_seed(0)
    soft = SoftPrompts.draw(loud, ["task"], 5)
    with soft.attached():
        yield [example.under(soft.ids("task")) for example in encoded]


def in_batches(model, prompts, **options):
    options = {"num_beams": 1, "stops": (), "batch_tokens": 1000, "share": False} | options
    with torch.inference_mode():
        return generate_batches(model, model.base, prompts, max_new_tokens=8, **options)


@pytest.mark.parametrize("batch_tokens", [1, 60, 100_000])
def test_a_shared_row_writes_what_padded_batches_write(loud, prompts, batch_tokens):
    decoder = RowDecoder(loud, loud.base, max_new_tokens=8, stops=(), batch_tokens=batch_tokens)
    with torch.inference_mode():
        written = decoder.generate(prompts)
    for one, padded in zip(written, in_batches(loud, prompts), strict=True):
        assert one == padded[: len(one)]
        assert len(one) == 8 or one[-1] in loud.encoder.end_tokens
    assert len({tuple(one) for one in written}) > 4


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("batch_tokens", [60, 100_000])
def test_batches_and_beams_may_share_what_prompts_begin_with(loud, prompts, num_beams, batch_tokens):
    expected = in_batches(loud, prompts, num_beams=num_beams)
    shared = in_batches(loud, prompts, num_beams=num_beams, batch_tokens=batch_tokens, share=True)

    def texts(written):
        return [loud.encoder.decode(tokens) for tokens in written]

    assert texts(shared) == texts(expected)
    assert len(set(texts(shared))) > 4


@pytest.mark.parametrize("batch_tokens", [1, 60, 100_000])
def test_a_shared_row_scores_what_plain_batches_score(loud, prompts, batch_tokens):
    # The choices of an input follow one another and have all but the target in common.
    targets = {example.target for example in prompts}
    options = [Encoded(example.prompt, target) for example in prompts for target in sorted(targets)]
    with torch.inference_mode():
        expected = batch_losses(loud, loud.base, options, batch_tokens=1000)
        scored = row_losses(loud, loud.base, options, batch_tokens=batch_tokens)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(scored, expected, rtol=0, atol=1e-4)


@pytest.fixture
def n_read(loud):
    """Count the tokens that a model reads."""
    counts = []
    hook = loud.base.get_input_embeddings().register_forward_hook(
        lambda _module, args, _out: counts.append(args[0].numel())
    )
    yield counts
    hook.remove()


def test_what_prompts_share_is_read_once(loud, encode, n_read):
    prompts = encode(loud.encoder, PAIRS)
    loud.nll(loud.base, prompts)  # The first use tries whether rows can be shared.
    n_prefix = next(
        at
        for at, tokens in enumerate(zip(*(p.prompt for p in prompts), strict=False))
        if len(set(tokens)) > 1
    )
    own = sum(len(prompt.prompt) - n_prefix for prompt in prompts)
    n_read.clear()
    loud.generate(loud.base, prompts, max_new_tokens=1)
    assert sum(n_read) == n_prefix + own
    n_read.clear()
    twice = [Encoded(p.prompt, target) for p in prompts for target in ((5,), (6,), (5, 7))]
    loud.nll(loud.base, twice)
    read = [one.prompt + one.target[:-1] for one in twice]
    assert sum(n_read) == len({tokens[:end] for tokens in read for end in range(1, len(tokens) + 1)})


def test_columns_that_are_forgotten_are_seen_no_more(loud):
    row = SharedRow(loud, loud.base, [3, 4, 5])
    seen = torch.ones(1, 4, dtype=torch.bool)
    with torch.inference_mode():
        first = row.read([6], [3], seen, [0])
        assert row.n_columns == 4
        row.keep(torch.arange(3))
        assert row.n_columns == 3
        torch.testing.assert_close(row.read([6], [3], seen, [0]), first)


@pytest.mark.parametrize(
    ("architecture", "shares"), [("Bloom", False), ("OPT", True), ("GPTNeo", False), ("Mistral", False)]
)
def test_every_architecture_writes_the_same_in_any_company(architecture, shares, causal_encoder, encode):
    base = tiny(architecture, causal_encoder, **ARCHITECTURES[architecture])
    model = LanguageModel(base, causal_encoder)
    assert (model.pack and rows_are_exact(model)) == shares
    prompts = encode(causal_encoder, PAIRS, OTHER)
    alone = [model.generate(base, [prompt], max_new_tokens=6)[0] for prompt in prompts]
    assert model.generate(base, prompts, max_new_tokens=6) == alone


def test_a_model_that_takes_no_cache_is_found_out(tiny_causal, monkeypatch):
    model = LanguageModel.load(tiny_causal, precision="fp32", device="cpu")
    assert model.pack
    forward = model.base.forward

    def without_cache(*args, past_key_values=None, **kwargs):
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.base, "forward", without_cache)
    assert not rows_are_exact(model)

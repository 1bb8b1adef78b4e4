import numpy as np
import pytest
import torch
from models_samples import ARCHITECTURES, OTHER, PAIRS, tiny

from cotune.models import Encoded, LanguageModel
from cotune.models.batching import causal_batch, plan_rows


@pytest.fixture
def examples(causal_encoder, encode):
    """Two tasks whose prompts share nothing, of very unequal lengths."""
    return [
        *encode(causal_encoder, PAIRS),
        *encode(causal_encoder, [("", "red"), *PAIRS[::2]], OTHER),
    ]


def reference_losses(base, example, seq2seq=False):
    """Target losses of one example by transformers' own loss, one label at a time."""
    losses = []
    for at in range(len(example.target)):
        if seq2seq:
            labels = torch.full((1, len(example.target)), -100)
            labels[0, at] = example.target[at]
            decoder = torch.tensor([(base.config.decoder_start_token_id, *example.target[:-1])])
            inputs = {"input_ids": torch.tensor([example.prompt]), "decoder_input_ids": decoder}
        else:
            whole = torch.tensor([(*example.prompt, *example.target)])
            labels = torch.full_like(whole, -100)
            labels[0, len(example.prompt) + at] = example.target[at]
            inputs = {"input_ids": whole}
        with torch.no_grad():
            losses.append(base(**inputs, labels=labels).loss.item())
    return losses


def labelled_loss(base, example, seq2seq=False):
    """Mean loss of an example by transformers, with the prompt's labels masked as its documentation says."""
    if seq2seq:
        inputs = {"input_ids": torch.tensor([example.prompt]), "labels": torch.tensor([example.target])}
    else:
        whole = torch.tensor([(*example.prompt, *example.target)])
        labels = torch.tensor([(*[-100] * len(example.prompt), *example.target)])
        inputs = {"input_ids": whole, "labels": labels}
    with torch.no_grad():
        return base(**inputs).loss.item()


def per_token(model, batch):
    with torch.inference_mode():
        return model.target_losses(model.base, batch).tolist()


def test_packed_losses_are_those_of_one_example_a_row_and_of_transformers(causal, examples):
    assert causal.pack
    rows = plan_rows(examples, pack=True)
    assert 1 < len(rows) < len(examples)
    packed = causal_batch(examples, rows, causal.pad_token)
    apart = causal_batch(examples, [[i] for i in range(len(examples))], causal.pad_token)
    expected = [loss for example in examples for loss in reference_losses(causal.base, example)]
    for batch in (packed, apart):
        order = batch.example.argsort(stable=True)
        got = np.array(per_token(causal, batch))[order.numpy()]
        np.testing.assert_allclose(got, expected, atol=1e-5, rtol=0)


def test_encoder_decoder_losses_are_those_of_transformers(seq2seq, seq2seq_encoder, encode):
    assert not seq2seq.pack
    examples = encode(seq2seq_encoder, PAIRS[:4])
    expected = [loss for one in examples for loss in reference_losses(seq2seq.base, one, seq2seq=True)]
    np.testing.assert_allclose(per_token(seq2seq, seq2seq.batch(examples)), expected, atol=1e-5, rtol=0)


def test_the_likelihood_of_an_example_is_the_loss_transformers_gives_its_labels(
    causal, seq2seq, examples, seq2seq_encoder, encode
):
    expected = [labelled_loss(causal.base, example) for example in examples]
    np.testing.assert_allclose(causal.nll(causal.base, examples), expected, atol=1e-5, rtol=0)
    pairs = encode(seq2seq_encoder, PAIRS)
    expected = [labelled_loss(seq2seq.base, example, seq2seq=True) for example in pairs]
    np.testing.assert_allclose(seq2seq.nll(seq2seq.base, pairs), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_the_likelihood_depends_neither_on_the_batch_nor_on_the_order(kind, request, encode):
    model = request.getfixturevalue(kind)
    examples = encode(model.encoder, PAIRS) + encode(model.encoder, PAIRS, OTHER)
    expected = model.nll(model.base, examples)
    order = np.random.default_rng(0).permutation(len(examples))
    for batch_tokens in (1, 60, 100_000):
        shuffled = model.nll(model.base, [examples[i] for i in order], batch_tokens=batch_tokens)
        np.testing.assert_allclose(shuffled, expected[order], atol=1e-5, rtol=0)


def test_no_example_takes_no_pass(causal):
    assert causal.nll(causal.base, []).shape == (0,)
    assert causal.generate(causal.base, []) == []


@pytest.mark.parametrize("by_length", [False, True])
@pytest.mark.parametrize("batch_tokens", [1, 100, 100_000])
def test_chunks_hold_every_example_once_and_about_as_many_tokens_as_asked(
    causal, examples, batch_tokens, by_length
):
    chunks = list(causal.chunks(examples, batch_tokens, by_length=by_length))
    assert sorted(index for chunk in chunks for index in chunk) == list(range(len(examples)))
    for chunk in chunks:
        batch = causal.batch([examples[i] for i in chunk], max_row_tokens=100_000)
        assert len(chunk) == 1 or by_length or batch.inputs["input_ids"].numel() <= 2 * batch_tokens
    if by_length:
        lengths = [len(examples[i]) for chunk in chunks for i in chunk]
        assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(
    ("architecture", "packs"), [("Bloom", False), ("OPT", True), ("GPTNeo", False), ("Mistral", False)]
)
def test_every_architecture_scores_right_packed_or_not(architecture, packs, causal_encoder, encode):
    base = tiny(architecture, causal_encoder, **ARCHITECTURES[architecture])
    model = LanguageModel(base, causal_encoder)
    examples = encode(causal_encoder, PAIRS, "Say it as it is: " + "one two three four five " * 6)
    assert len(examples[0].prompt) > 64
    expected = [labelled_loss(base, example) for example in examples]
    np.testing.assert_allclose(model.nll(base, examples), expected, atol=2e-4, rtol=1e-4)
    assert model.pack == packs


def test_packing_that_is_forced_on_where_distances_count_would_be_wrong(causal_encoder, encode):
    base = tiny("GPTNeo", causal_encoder, **ARCHITECTURES["GPTNeo"])
    examples = encode(causal_encoder, PAIRS, "Say it as it is: " + "one two three four five " * 6)
    right = LanguageModel(base, causal_encoder).nll(base, examples)
    forced = LanguageModel(base, causal_encoder, pack=True).nll(base, examples)
    assert np.abs(forced - right).max() > 0.005


def test_half_precision_packs_and_scores_about_the_same(tiny_causal, causal, examples):
    model = LanguageModel.load(tiny_causal, precision="bf16", device="cpu")
    assert model.pack
    scores = model.nll(model.base, examples)
    np.testing.assert_allclose(scores, causal.nll(causal.base, examples), atol=0.05, rtol=0)


def test_a_tokenizer_without_padding_is_padded_with_its_end(tiny_causal, examples, causal):
    from cotune.models import load_encoder

    encoder = load_encoder(tiny_causal)
    encoder.tokenizer.pad_token = None
    model = LanguageModel(causal.base, encoder)
    assert model.pad_token == encoder.tokenizer.eos_token_id
    np.testing.assert_allclose(
        model.nll(model.base, examples), causal.nll(causal.base, examples), atol=1e-6, rtol=0
    )
    prompts = [Encoded(example.prompt, ()) for example in examples]
    together = model.generate(model.base, prompts, max_new_tokens=4)
    assert together == [model.generate(model.base, [prompt], max_new_tokens=4)[0] for prompt in prompts]

from dataclasses import replace

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cotune.models.batching import causal_batch, plan_rows, seq2seq_batch, shared_prefix
from cotune.models.encoding import Encoded

PAD = 0
TOKENS = st.integers(1, 9)


@st.composite
def neighbours(draw):
    """Examples of a few tasks, as a batch brings them: those of one task share the start of the prompt."""
    examples = []
    for _ in range(draw(st.integers(1, 4))):
        shared = draw(st.lists(TOKENS, min_size=0, max_size=24))
        for _ in range(draw(st.integers(1, 4))):
            start = shared[: draw(st.integers(0, len(shared)))] if draw(st.booleans()) else shared
            own = draw(st.lists(TOKENS, min_size=1, max_size=6))
            target = draw(st.lists(TOKENS, min_size=1, max_size=5))
            examples.append(Encoded((*start, *own), tuple(target)))
    return examples


def ramp(length, *end):
    """Make a prompt of ``length`` tokens, a start of one sequence, with an ending of its own."""
    return (*(1 + i % 9 for i in range(length)), *end)


SHRINKING = [Encoded(ramp(20, end), (1,)) for end in (9, 8, 7)] + [Encoded(ramp(10, 9), (1,))]


@settings(max_examples=80, deadline=None)
@given(examples=neighbours(), pack=st.booleans(), limit=st.integers(4, 80))
@example(examples=SHRINKING, pack=True, limit=40)
def test_rows_hold_every_example_once_in_order_and_none_is_too_long(examples, pack, limit):
    rows = plan_rows(examples, pack=pack, max_tokens=limit)
    assert [index for row in rows for index in row] == list(range(len(examples)))
    if not pack:
        assert all(len(row) == 1 for row in rows)
    for row in rows:
        if len(row) > 1:
            batch = causal_batch([examples[i] for i in row], [list(range(len(row)))], PAD)
            assert batch.inputs["input_ids"].shape[1] <= limit


@settings(max_examples=80, deadline=None)
@given(examples=neighbours())
def test_examples_share_a_row_only_where_that_saves_at_least_half_of_the_prefix(examples):
    for row in plan_rows(examples, pack=True):
        if len(row) > 1:
            prompts = [examples[i].prompt for i in row]
            assert shared_prefix(prompts) >= 8
            assert 2 * shared_prefix(prompts) >= shared_prefix(prompts[:-1]) - 1


def test_examples_with_one_prefix_share_one_row_up_to_the_limit():
    examples = [Encoded(ramp(20, end), (1, 2)) for end in range(1, 9)]
    assert plan_rows(examples, pack=True) == [list(range(8))]
    # The first takes 23 tokens, every further one 3.
    assert plan_rows(examples, pack=True, max_tokens=29) == [[0, 1, 2], [3, 4, 5], [6, 7]]


@given(prompts=st.lists(st.lists(TOKENS, min_size=1, max_size=12), min_size=1, max_size=5))
def test_the_shared_prefix_is_the_longest_that_leaves_each_prompt_a_token(prompts):
    length = shared_prefix(prompts)
    starts = {tuple(prompt[:length]) for prompt in prompts}
    longer = {tuple(prompt[: length + 1]) for prompt in prompts}
    assert len(starts) == 1
    assert all(len(prompt) > length for prompt in prompts)
    assert len(longer) > 1 or min(map(len, prompts)) == length + 1


@settings(max_examples=80, deadline=None)
@given(examples=neighbours(), pack=st.booleans())
def test_labels_and_columns_give_every_target_back(examples, pack):
    batch = causal_batch(examples, plan_rows(examples, pack=pack), PAD)
    assert (batch.n_examples, batch.n_tokens) == (len(examples), sum(map(len, examples)))
    columns = batch.columns[batch.column]
    for index, one in enumerate(examples):
        mine = batch.example == index
        assert tuple(batch.label[mine].tolist()) == one.target
        # The logits that predict a token stand on the token before it.
        read = batch.inputs["input_ids"][batch.row[mine], columns[mine]].tolist()
        assert tuple(read) == (one.prompt[-1], *one.target[:-1])


@settings(max_examples=60, deadline=None)
@given(examples=neighbours(), pack=st.booleans())
def test_what_a_target_token_can_see_is_its_own_example_up_to_there(examples, pack):
    rows = plan_rows(examples, pack=pack)
    batch = causal_batch(examples, rows, PAD)
    ids, positions, mask = (batch.inputs[k] for k in ("input_ids", "position_ids", "attention_mask"))
    if mask.ndim == 4:
        lowest = torch.finfo(torch.float32).min
        assert set(mask.unique().tolist()) <= {0.0, lowest}
        seen = mask[:, 0] == 0
        assert seen.any(dim=-1).all()  # a row of nothing but the lowest number would turn into NaN
    else:
        seen = mask.bool()[:, None, :] & torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
    assert (mask.ndim == 4) == (len(rows) < len(examples))
    for index, one in enumerate(examples):
        whole = (*one.prompt, *one.target)
        mine = (batch.example == index).nonzero()[:, 0].tolist()
        for step, at in enumerate(mine):
            row, column = int(batch.row[at]), int(batch.columns[batch.column[at]])
            visible = seen[row, column].nonzero()[:, 0]
            order = positions[row, visible].argsort()
            n_before = len(one.prompt) + step
            assert positions[row, visible][order].tolist() == list(range(n_before))
            assert tuple(ids[row, visible][order].tolist()) == whole[:n_before]


@settings(max_examples=60, deadline=None)
@given(examples=neighbours(), start=st.integers(1, 9))
def test_encoder_decoder_batches_hold_prompts_and_shifted_targets(examples, start):
    batch = seq2seq_batch(examples, PAD, start)
    ids, mask, decoder = (batch.inputs[k] for k in ("input_ids", "attention_mask", "decoder_input_ids"))
    assert (ids[~mask.bool()] == PAD).all()
    for index, one in enumerate(examples):
        mine = batch.example == index
        assert tuple(ids[index][mask[index].bool()].tolist()) == one.prompt
        assert tuple(batch.label[mine].tolist()) == one.target
        assert (batch.row[mine] == index).all()
        read = decoder[index, batch.columns[batch.column[mine]]].tolist()
        assert tuple(read) == (start, *one.target[:-1])
    assert (batch.n_examples, batch.n_tokens) == (len(examples), sum(map(len, examples)))


def test_a_batch_can_be_moved():
    laid = causal_batch([Encoded((1, 2), (3,))], [[0]], PAD)
    batch = replace(laid, states=torch.zeros(1, 2, 4)).to(torch.device("meta"))
    tensors = [*batch.inputs.values(), batch.columns, batch.row, batch.column, batch.label, batch.example]
    tensors.append(batch.states)
    assert {tensor.device.type for tensor in tensors} == {"meta"}

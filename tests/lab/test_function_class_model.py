import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.exceptions import RunError
from cotune.lab.function_classes import FUNCTION_CLASSES
from cotune.lab.function_classes._model import StackedRegressor
from cotune.lab.function_classes._prompts import batches, generator
from cotune.lab.function_classes._training import train

SIZES = {"dimension": 2, "points": 5, "width": 8, "layers": 2, "heads": 2}


def plain_model(seed=0, **sizes):
    return StackedRegressor(**{**SIZES, **sizes}, generator=generator("test", seed))


def varied_stack(count):
    """Copies whose parameters all differ."""
    models = plain_model().copies(count)
    noise = generator("noise")
    with torch.no_grad():
        for parameter in models.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=noise)
    return models


def inputs(models, prompts=3, seed=0):
    source = generator("inputs", seed)
    return (
        torch.randn(models, prompts, SIZES["points"], SIZES["dimension"], generator=source),
        torch.randn(models, prompts, SIZES["points"], generator=source),
    )


@settings(max_examples=20, deadline=None)
@given(position=st.integers(0, 4), seed=st.integers(0, 1000))
def test_a_prediction_depends_on_nothing_that_comes_later(position, seed):
    model = varied_stack(1)
    x, y = inputs(1, seed=seed)
    before = model(x, y)
    x[:, :, position + 1 :] += 1.0
    y[:, :, position:] -= 1.0
    after = model(x, y)
    torch.testing.assert_close(after[..., : position + 1], before[..., : position + 1])
    if position < 4:
        assert (after[..., position + 1 :] - before[..., position + 1 :]).abs().min() > 1e-6


@pytest.mark.parametrize("layers", [1, 3])
def test_a_prediction_depends_on_every_earlier_value(layers):
    model = plain_model(layers=layers)
    x, y = inputs(1)
    y.requires_grad_()
    model(x, y)[0, :, -1].sum().backward()
    assert (y.grad[0, :, :-1].abs() > 0).all()
    assert (y.grad[0, :, -1] == 0).all()


def test_skipping_positions_in_a_block_changes_none_of_the_others():
    block = varied_stack(2).blocks[0]
    hidden = torch.randn(2, 3, 9, 8, generator=generator("hidden"))
    torch.testing.assert_close(block(hidden, stride=2), block(hidden)[:, :, ::2])


def test_a_stack_is_its_members_side_by_side():
    models = varied_stack(3)
    x, y = inputs(3)
    together = models(x, y)
    apart = [models.member(m)(x[m : m + 1], y[m : m + 1]) for m in range(3)]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-6, rtol=1e-5)
    assert not torch.allclose(together[0], models(x[:1].expand_as(x), y[:1].expand_as(y))[1])


def test_members_share_no_gradient():
    models = varied_stack(3)
    models(*inputs(3))[1].square().sum().backward()
    norms = torch.stack([p.grad.flatten(1).norm(dim=1) for p in models.parameters()]).sum(0)
    assert norms[1] > 0
    assert norms[[0, 2]].tolist() == [0, 0]


def test_training_copies_leaves_the_original_alone():
    base = plain_model()
    kept = {name: value.clone() for name, value in base.state_dict().items()}
    models = base.copies(2)
    assert models.n_models == 2
    train(models, streams(2), steps=2, lr=0.1, names=["a", "b"])
    assert all(torch.equal(value, kept[name]) for name, value in base.state_dict().items())
    assert not torch.equal(models.read_in.weight[0], base.read_in.weight[0])


def streams(count, classes=("linear-1.0", "tree-1.0")):
    sizes = {"batch_size": 4, "points": SIZES["points"], "dimension": SIZES["dimension"]}
    return [batches(classes, **sizes, key=("test", m)) for m in range(count)]


def test_members_train_as_if_alone_even_when_one_is_clipped():
    together = varied_stack(2)
    with torch.no_grad():
        together.read_out.weight[0] *= 100
    apart = [together.member(m) for m in range(2)]
    losses = train(together, streams(2), steps=6, lr=0.01, names=["a", "b"])
    for m, model in enumerate(apart):
        alone = train(model, [streams(2)[m]], steps=6, lr=0.01, names=["a"])
        torch.testing.assert_close(losses[:, m], alone[:, 0], atol=1e-5, rtol=1e-4)


def test_a_loss_that_is_not_finite_names_its_model_and_step():
    models = plain_model().copies(2)
    with torch.no_grad():
        models.read_out.bias[1] = torch.inf
    with pytest.raises(RunError, match=r"^The loss of the second is inf at step 1;"):
        train(models, streams(2), steps=3, lr=0.01, names=["the first", "the second"])


@settings(max_examples=20, deadline=None)
@given(n_classes=st.integers(1, 9), batch_size=st.integers(1, 12))
def test_classes_take_turns_in_the_rows_of_batches(n_classes, batch_size):
    classes = list(FUNCTION_CLASSES)[:n_classes]
    stream = batches(classes, batch_size=batch_size, points=2, dimension=1, key=("k",))
    rows = torch.cat([next(stream)[1] for _ in range(50)])
    assert len(rows) == 50 * batch_size
    for turn, name in enumerate(classes):
        own = rows[turn::n_classes]
        assert abs(len(own) - len(rows) / n_classes) < 1
        _, drawn = FUNCTION_CLASSES[name].prompts(-(-len(rows) // n_classes), 2, 1, generator("k", name))
        assert torch.equal(own, drawn[: len(own)])


def test_no_prompt_comes_twice():
    stream = batches(["relu-1.0", "tree-1.0"], batch_size=2, points=1, dimension=1, key=("k",))
    points = torch.cat([next(stream)[0] for _ in range(130)]).flatten()
    assert len(points.unique()) == 260


def test_a_class_shows_the_same_prompts_in_any_company():
    sizes = {"batch_size": 6, "points": 4, "dimension": 2}
    (x, y), (other_x, other_y) = (
        next(batches(classes, **sizes, key=("run", 0)))
        for classes in (["linear-1.0", "relu-0.9", "tree-1.0"], ["linear-1.0", "linear-1.1", "relu-0.9"])
    )
    assert torch.equal(x[0::3], other_x[0::3])
    assert torch.equal(y[1::3], other_y[2::3])
    x_of_other_run, _ = next(batches(["linear-1.0", "relu-0.9", "tree-1.0"], **sizes, key=("run", 1)))
    assert not torch.equal(x, x_of_other_run)

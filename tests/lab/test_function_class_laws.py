import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.lab.function_classes import FUNCTION_CLASSES, LinearLaw, ReluLaw, TreeLaw

LAWS = [pytest.param(law, id=name) for name, law in FUNCTION_CLASSES.items()]
SEEDS = st.integers(0, 2**32 - 1)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dimension", [1, 3, 7])
@pytest.mark.parametrize("law", LAWS)
def test_values_have_mean_zero_and_the_variance_of_the_scale(law, dimension):
    _, y = law.prompts(40_000, 1, dimension, seeded(0))
    squares = y.double().square()
    assert abs(y.double().mean()) < 5 * law.scale / math.sqrt(len(y))
    assert abs(squares.mean() - law.scale**2) < 5 * squares.std() / math.sqrt(len(y))


@pytest.mark.parametrize("law", LAWS)
def test_points_are_standard_normal(law):
    x, y = law.prompts(2_000, 5, 3, seeded(1))
    assert x.shape == (2_000, 5, 3)
    assert y.shape == (2_000, 5)
    assert x.mean().abs() < 0.03
    torch.testing.assert_close(torch.cov(x.reshape(-1, 3).T), torch.eye(3), atol=0.06, rtol=0)


@pytest.mark.parametrize("law", LAWS)
def test_a_seed_determines_the_prompts(law):
    first, again, other = (law.prompts(4, 5, 3, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


def test_three_scales_of_three_types_have_names():
    assert list(FUNCTION_CLASSES) == [
        *("linear-1.0", "linear-0.9", "linear-1.1"),
        *("tree-1.0", "tree-0.9", "tree-1.1"),
        *("relu-1.0", "relu-0.9", "relu-1.1"),
    ]
    assert {law.family for law in FUNCTION_CLASSES.values()} == {"linear", "tree", "relu"}


@pytest.mark.parametrize("family", [LinearLaw, TreeLaw, ReluLaw])
def test_the_scale_multiplies_the_values(family):
    _, unit = family(scale=1.0).prompts(3, 8, 3, seeded(5))
    _, scaled = family(scale=2.5).prompts(3, 8, 3, seeded(5))
    torch.testing.assert_close(scaled, 2.5 * unit)


@settings(max_examples=25)
@given(seed=SEEDS, a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_linear_functions_are_linear(seed, a, b):
    x, z = torch.randn(2, 4, 6, 3, generator=seeded(seed))
    f_x, f_z, f_sum = (LinearLaw(scale=1.0).unit_values(v, seeded(seed)) for v in (x, z, a * x + b * z))
    torch.testing.assert_close(f_sum, a * f_x + b * f_z, atol=1e-4, rtol=1e-4)


@settings(max_examples=25)
@given(seed=SEEDS, depth=st.integers(1, 5), dimension=st.integers(1, 4))
def test_trees_are_constant_where_the_signs_are(seed, depth, dimension):
    law = TreeLaw(scale=1.0, depth=depth)
    x = torch.randn(3, 300, dimension, generator=seeded(seed))
    stretched = x * torch.empty_like(x).uniform_(0.1, 9.0, generator=seeded(seed))
    values = law.unit_values(x, seeded(seed))
    assert torch.equal(values, law.unit_values(stretched, seeded(seed)))
    assert all(len(of_tree.unique()) <= min(2**depth, 2**dimension) for of_tree in values)


def test_a_deep_input_reaches_all_sixteen_leaves_and_no_more():
    x = torch.randn(200, 2_000, 12, generator=seeded(0))
    n_values = [len(of_tree.unique()) for of_tree in TreeLaw(scale=1.0).unit_values(x, seeded(1))]
    assert max(n_values) == 16
    assert min(n_values) > 2


@settings(max_examples=25)
@given(seed=SEEDS, factor=st.floats(0.1, 10))
def test_relu_networks_are_homogeneous_but_not_linear(seed, factor):
    law = ReluLaw(scale=1.0)
    x = torch.randn(4, 20, 3, generator=seeded(seed))
    there, further, opposite = (law.unit_values(v, seeded(seed)) for v in (x, factor * x, -x))
    torch.testing.assert_close(further, factor * there, atol=1e-4, rtol=1e-4)
    assert (there + opposite).abs().max() > 0.01

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cotune.lab.function_classes import FUNCTION_CLASSES, LAW_SETS, LinearLaw, ReluLaw, TreeLaw

LAWS = [pytest.param(law, id=name) for name, law in FUNCTION_CLASSES.items()]
CENTRED = [pytest.param(law, id=name) for name, law in FUNCTION_CLASSES.items() if not law.shared_mean]
SHARING = [pytest.param(law, id=name) for name, law in FUNCTION_CLASSES.items() if law.shared_mean]
SEEDS = st.integers(0, 2**32 - 1)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("dimension", [1, 3, 7])
@pytest.mark.parametrize("law", CENTRED)
def test_values_have_mean_zero_and_the_variance_of_the_scale(law, dimension):
    _, y = law.prompts(40_000, 1, dimension, seeded(0))
    squares = y.double().square()
    assert abs(y.double().mean()) < 5 * law.scale / math.sqrt(len(y))
    assert abs(squares.mean() - law.scale**2) <= 5 * squares.std() / math.sqrt(len(y))


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


@pytest.mark.parametrize("law", SHARING)
def test_classes_with_a_prior_mean_share_it_and_vary_around_it(law):
    point = torch.tensor([0.4, -1.2, 0.9]).expand(20_000, 1, 3)
    mean = law.unit_values(point[:1], torch.Generator().manual_seed(0)).item()
    y = law.values(point, seeded(2))
    assert abs(y.double().mean() / law.scale - 0.7 * mean) < 0.04
    own = replace(law, shared_mean=0.0)
    around = own.values(point, seeded(2))
    torch.testing.assert_close(y, law.scale * 0.7 * mean + math.sqrt(1 - 0.49) * around)


def test_every_set_of_laws_has_three_classes_of_each_of_three_types():
    assert LAW_SETS["scales"] == (
        *("linear-1.0", "linear-0.9", "linear-1.1"),
        *("tree-1.0", "tree-0.9", "tree-1.1"),
        *("relu-1.0", "relu-0.9", "relu-1.1"),
    )
    for names in LAW_SETS.values():
        families = [FUNCTION_CLASSES[name].family for name in names]
        assert families == ["linear"] * 3 + ["tree"] * 3 + ["relu"] * 3
        assert len({repr(FUNCTION_CLASSES[name]) for name in names}) == 9
    assert set().union(*LAW_SETS.values()) == set(FUNCTION_CLASSES)


def test_only_the_set_called_so_shares_means():
    for name, classes in LAW_SETS.items():
        assert {FUNCTION_CLASSES[c].shared_mean > 0 for c in classes} == {name == "shared_means"}


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

"""The test functions: their values, minima and gradients."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lbfgsb import benchmarks

NAMES = [
    "ackley",
    "beale",
    "griewank",
    "quartic",
    "rastrigin",
    "rosenbrock",
    "sphere",
    "styblinski_tang",
]
VECTORS = hnp.arrays(np.float64, st.integers(2, 6), elements=st.floats(-4.0, 4.0))


def function(name):
    return getattr(benchmarks, name), getattr(benchmarks, f"{name}_grad")


def complex_step(fun, x):
    """The gradient to rounding error."""
    g = np.empty(x.size)
    for i in range(x.size):
        z = x.astype(complex)
        z[i] += 1e-100j
        g[i] = fun(z).imag / 1e-100
    return g


# One sum a function, in plain Python.
CLOSED_FORMS = {
    "ackley": lambda x: (
        20
        + math.e
        - 20 * math.exp(-0.2 * math.sqrt(sum(t * t for t in x) / len(x)))
        - math.exp(sum(math.cos(2 * math.pi * t) for t in x) / len(x))
    ),
    "beale": lambda x: sum(
        (c - a + a * b**k) ** 2
        for a, b in itertools.pairwise(x)
        for k, c in ((1, 1.5), (2, 2.25), (3, 2.625))
    ),
    "griewank": lambda x: (
        1
        + sum(t * t for t in x) / 4000
        - math.prod(math.cos(t / math.sqrt(i)) for i, t in enumerate(x, 1))
    ),
    "quartic": lambda x: sum(i * t**4 for i, t in enumerate(x, 1)),
    "rastrigin": lambda x: sum(10 + t * t - 10 * math.cos(2 * math.pi * t) for t in x),
    "rosenbrock": lambda x: sum(
        100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in itertools.pairwise(x)
    ),
    "sphere": lambda x: sum(t * t for t in x),
    "styblinski_tang": lambda x: sum((t**4 - 16 * t * t + 5 * t) / 2 + 39.16599 for t in x),
}

# From lbfgsb 1.1, at x = (0.5, -1.25, 2, 3.75, -0.1).
VALUES_OF_1_1 = {
    "ackley": 8.120803337710717,
    "beale": 12168.022907128907,
    "griewank": 1.0722815233904146,
    "quartic": 843.9614375,
    "rastrigin": 61.79483005625055,
    "rosenbrock": 20321.90625,
    "sphere": 19.885,
    "styblinski_tang": 157.12890625,
}


@pytest.mark.parametrize("name", NAMES)
@given(x=VECTORS)
def test_the_value_is_that_of_the_definition(name, x):
    fun, _ = function(name)
    assert fun(x) == pytest.approx(CLOSED_FORMS[name](x.tolist()), rel=1e-12, abs=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_the_value_is_that_of_version_1_1(name):
    fun, _ = function(name)
    assert fun([0.5, -1.25, 2.0, 3.75, -0.1]) == pytest.approx(VALUES_OF_1_1[name], rel=1e-14)


@pytest.mark.parametrize("name", NAMES)
@given(x=VECTORS)
def test_the_gradient_is_the_derivative(name, x):
    fun, grad = function(name)
    if name == "ackley":
        x = x + 1e-3 * (np.abs(x).max() < 1e-3)
    expected = complex_step(fun, x)
    scale = 1.0 + np.abs(expected).max()
    np.testing.assert_allclose(grad(x), expected, rtol=1e-11, atol=1e-12 * scale)


@pytest.mark.parametrize("name", NAMES)
def test_integers_and_lists_are_numbers(name):
    fun, grad = function(name)
    x = np.array([1.0, -2.0, 3.0])
    assert fun([1, -2, 3]) == fun(x)
    for integers in ([1, -2, 3], np.array([1, -2, 3])):
        g = grad(integers)
        assert g.dtype == np.float64
        np.testing.assert_array_equal(g, grad(x))


@pytest.mark.parametrize("name", NAMES)
def test_the_argument_is_only_read(name):
    fun, grad = function(name)
    x = np.array([1.0, -2.0, 3.0])
    x.flags.writeable = False
    fun(x)
    assert not np.shares_memory(grad(x), x)


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("ackley", np.zeros(3)),
        ("beale", np.array([3.0, 0.5])),
        ("griewank", np.zeros(3)),
        ("quartic", np.zeros(3)),
        ("rastrigin", np.zeros(3)),
        ("rosenbrock", np.ones(3)),
        ("sphere", np.zeros(3)),
    ],
)
def test_at_the_minimiser_value_and_gradient_vanish(name, x):
    fun, grad = function(name)
    assert fun(x) == pytest.approx(0.0, abs=1e-15)
    np.testing.assert_allclose(grad(x), 0.0, atol=1e-15)


def test_the_minimum_of_styblinski_tang_is_near_zero():
    x = np.full(4, -2.903534027771178)
    assert benchmarks.styblinski_tang(x) == pytest.approx(-1.757e-4 * 4, rel=1e-3)
    np.testing.assert_allclose(benchmarks.styblinski_tang_grad(x), 0.0, atol=1e-12)


def test_the_gradient_of_ackley_at_its_tip_is_zero_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(benchmarks.ackley_grad(np.zeros(4)), np.zeros(4))


@pytest.mark.parametrize("where", [[0], [1], [2], [0, 1], [0, 2], [0, 1, 2]])
def test_the_gradient_of_griewank_is_right_where_a_cosine_vanishes(where):
    x = np.array([0.5, -1.0, 1.5])
    root = np.sqrt([1.0, 2.0, 3.0])
    x[where] = 0.5 * np.pi * root[where]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        g = benchmarks.griewank_grad(x)
    expected = [
        x[i] / 2000
        + math.prod(math.cos(x[j] / root[j]) for j in range(3) if j != i)
        * math.sin(x[i] / root[i])
        / root[i]
        for i in range(3)
    ]
    np.testing.assert_allclose(g, expected, rtol=1e-14, atol=1e-16)


def test_the_gradient_of_griewank_is_right_for_one_variable():
    np.testing.assert_allclose(benchmarks.griewank_grad([0.3]), [0.3 / 2000 + math.sin(0.3)])


def test_rosenbrock_takes_many_vectors_as_columns():
    x = np.random.default_rng(0).normal(size=(5, 3))
    f, g = benchmarks.rosenbrock(x), benchmarks.rosenbrock_grad(x)
    assert f.shape == (3,)
    assert g.shape == (5, 3)
    for k in range(3):
        assert f[k] == pytest.approx(benchmarks.rosenbrock(x[:, k]), rel=1e-14)
        np.testing.assert_array_equal(g[:, k], benchmarks.rosenbrock_grad(x[:, k]))


@given(x=hnp.arrays(np.float64, st.integers(1, 7), elements=st.floats(-4.0, 4.0)))
def test_rosenbrock_in_one_go_is_rosenbrock_and_its_gradient(x):
    before = x.copy()
    f, g = benchmarks.rosenbrock_fun_and_grad(x)
    assert type(f) is float
    assert f == pytest.approx(benchmarks.rosenbrock(x), rel=1e-13)
    expected = benchmarks.rosenbrock_grad(x)
    np.testing.assert_allclose(g, expected, rtol=1e-13, atol=1e-13 * (1 + np.abs(expected).max()))
    np.testing.assert_array_equal(x, before)
    assert benchmarks.rosenbrock_fun_and_grad(x)[1] is not g


def test_all_lists_every_function_and_its_gradient():
    assert set(benchmarks.__all__) == {
        "compiled_rosenbrock",
        "rosenbrock_fun_and_grad",
        *NAMES,
        *(f"{name}_grad" for name in NAMES),
    }

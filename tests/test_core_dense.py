"""The small Cholesky factorisation and triangular solves, against numpy.linalg."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lbfgsb._core.testing import cholesky_factor, gram, triangular_solve

EPS = np.finfo(float).eps


def spread(rng, n, decades):
    """A symmetric positive definite matrix with eigenvalues over so many decades."""
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    A = (Q * 10.0 ** rng.uniform(-decades / 2, decades / 2, size=n)) @ Q.T
    return 0.5 * (A + A.T)


seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 24)
many = settings(max_examples=200, derandomize=True)


@many
@given(seeds, sizes, st.floats(0, 8), st.floats(-150, 150))
def test_the_factor_is_that_of_numpy(seed, n, decades, exponent):
    A = spread(np.random.default_rng(seed), n, decades) * 10.0**exponent
    R = cholesky_factor(A)
    assert R is not None
    assert (np.tril(R, -1) == 0).all()
    assert (np.diag(R) > 0).all()
    units = np.sqrt(np.outer(np.diag(A), np.diag(A)))
    assert (abs(A - R.T @ R) <= 2 * (n + 1) * EPS * units).all()
    expected = np.linalg.cholesky(A).T
    tolerance = 20 * n * EPS * 10.0**decades
    np.testing.assert_allclose(R, expected, atol=tolerance * abs(expected).max(), rtol=0)


@many
@given(seeds, sizes)
def test_the_lower_triangle_is_not_read(seed, n):
    A = spread(np.random.default_rng(seed), n, 3)
    spoilt = A.copy()
    spoilt[np.tril_indices(n, -1)] = 0.0
    np.testing.assert_array_equal(cholesky_factor(spoilt), cholesky_factor(A))


@many
@given(seeds, sizes, st.booleans())
def test_a_triangular_system_is_solved_as_by_numpy(seed, n, transposed):
    rng = np.random.default_rng(seed)
    R, b = np.linalg.cholesky(spread(rng, n, 4)).T, rng.normal(size=n)
    x = triangular_solve(R, b, transposed)
    T = R.T if transposed else R
    assert (abs(T @ x - b) <= (n + 1) * EPS * (abs(T) @ abs(x))).all()
    expected = np.linalg.solve(T, b)
    tolerance = 10 * n * EPS * np.linalg.cond(T)
    np.testing.assert_allclose(x, expected, atol=tolerance * abs(expected).max(), rtol=0)


@many
@given(seeds, sizes)
def test_both_solves_undo_a_product_with_the_matrix(seed, n):
    rng = np.random.default_rng(seed)
    A, x = spread(rng, n, 3), rng.normal(size=n)
    R = cholesky_factor(A)
    again = triangular_solve(R, triangular_solve(R, A @ x, transposed=True))
    np.testing.assert_allclose(again, x, atol=1e-9)


@many
@given(seeds, sizes, st.integers(1, 24))
def test_columns_beside_the_matrix_are_solved_along(seed, n, extra):
    rng = np.random.default_rng(seed)
    A, X = spread(rng, n, 3), rng.normal(size=(n, extra))
    R, solved = cholesky_factor(A, X)
    expected = np.linalg.solve(np.linalg.cholesky(A), X)
    np.testing.assert_allclose(solved, expected, atol=1e-10 * abs(expected).max(), rtol=0)
    np.testing.assert_array_equal(R, cholesky_factor(A))


@many
@given(seeds, sizes, sizes)
def test_a_product_with_the_transpose_is_added(seed, n, rows):
    rng = np.random.default_rng(seed)
    C, U = rng.normal(size=(n, n)), rng.normal(size=(rows, n))
    scale = abs(C) + abs(U).T @ abs(U)
    assert (abs(gram(C, U) - np.triu(C + U.T @ U)) <= (rows + 1) * EPS * scale).all()


@many
@given(seeds, sizes, st.floats(0.01, 10))
def test_an_indefinite_matrix_has_no_factor(seed, n, depth):
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    eigenvalues = 10.0 ** rng.uniform(-1, 1, size=n)
    eigenvalues[rng.integers(n)] = -depth
    A = (Q * eigenvalues) @ Q.T
    assert cholesky_factor(A) is None


@pytest.mark.parametrize(
    "A",
    [
        [[0.0]],
        [[-1.0]],
        [[1.0, 1.0], [1.0, 1.0]],
        [[1.0, 2.0], [2.0, 1.0]],
        np.zeros((5, 5)),
        [[np.nan]],
        [[np.inf]],
        [[1.0, np.nan], [np.nan, 1.0]],
        [[1.0, np.inf], [np.inf, 1.0]],
        [[1.0, 0.0], [0.0, np.inf]],
    ],
)
def test_a_singular_or_non_finite_matrix_has_no_factor(A):
    assert cholesky_factor(A) is None


def test_a_matrix_of_no_rows_is_factored():
    assert cholesky_factor(np.empty((0, 0))).shape == (0, 0)


def test_the_argument_is_not_overwritten():
    A = spread(np.random.default_rng(0), 6, 2)
    before = A.copy()
    cholesky_factor(A)
    np.testing.assert_array_equal(A, before)

"""Every form that SciPy takes of every argument, given to SciPy and to the doors in its place.

Each form is solved by SciPy's own L-BFGS-B first, so that the tests know what it means there. The
problem is smooth and the runs are short: both solvers make the same iterates, up to rounding, where
a form has the same meaning, and others where it has not.
"""

from __future__ import annotations

import fractions
import functools
import warnings
from decimal import Decimal

import numpy as np
import pytest
import scipy.optimize
from problems import SCIPY
from scipy.optimize import Bounds, OptimizeWarning, minimize

import lbfgsb
from lbfgsb import scipy_compat

pandas = pytest.importorskip("pandas")

@pytest.fixture(autouse=True)
def the_algorithm_of_scipy(monkeypatch):
    """The iterates are compared: they are SciPy's with SciPy's secant equation and memory."""
    monkeypatch.setitem(lbfgsb.minimize_lbfgsb.__kwdefaults__, "secant", "standard")
    monkeypatch.setitem(lbfgsb.minimize_lbfgsb.__kwdefaults__, "maxcor", 10)


OPTIONS = scipy_compat._scipys_parameters()
START = [1.3, 0.7, -0.4]
CENTRE = np.array([1.0, -2.0, 0.5])
WEIGHTS = np.array([1.0, 7.0, 30.0])


def f(x, *args):
    """Convex, not quadratic; `args` move the minimiser."""
    r = np.asarray(x) - CENTRE - sum(args)
    return (WEIGHTS * (r**2 + 0.1 * r**4)).sum()


def g(x, *args):
    r = np.asarray(x) - CENTRE - sum(args)
    return WEIGHTS * (2 * r + 0.4 * r**3)


def fg(x, *args):
    return f(x, *args), g(x, *args)


# --- minimize -----------------------------------------------------------------------------


def by_scipy(**kwargs):
    return minimize(**kwargs, method="L-BFGS-B")


def by_patch(**kwargs):
    with lbfgsb.patched_scipy():
        return minimize(**kwargs, method="L-BFGS-B")


def by_method(**kwargs):
    return minimize(**kwargs, method=lbfgsb.scipy_method)


doors = pytest.mark.parametrize("door", [by_method, by_patch], ids=["method", "patch"])


def solve(way, **kwargs):
    """The result, and the categories of the warnings that came with it."""
    kwargs = {"fun": f, "x0": START, "jac": g, **kwargs}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = way(**{name: _fresh(value) for name, value in kwargs.items()})
    return result, [w.category for w in caught]


def _fresh(value):
    """An iterator can be used once: it is given as a function that makes it."""
    return value() if isinstance(value, _Makes) else value


class _Makes:
    def __init__(self, make):
        self._make = make

    def __call__(self):
        return self._make()


def assert_same(ours, scipys):
    """The same end, after the same iterates."""
    (ours, our_warnings), (scipys, their_warnings) = ours, scipys
    assert (ours.status, ours.success) == (scipys.status, scipys.success), ours.message
    assert (ours.nit, ours.nfev, ours.njev) == (scipys.nit, scipys.nfev, scipys.njev)
    np.testing.assert_allclose(ours.x, scipys.x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.fun, scipys.fun, rtol=1e-6, atol=1e-9)
    assert ours.message == scipys.message
    assert our_warnings == their_warnings


def forms(**cases):
    return pytest.mark.parametrize("form", cases.values(), ids=cases)


def mixed_row():
    frame = pandas.DataFrame({"name": ["a", "b"], "p": [1.3, 0], "q": [0.7, 1], "r": [-0.4, 2]})
    return frame.loc[0, ["p", "q", "r"]]


@doors
@forms(
    list=[1.3, 0.7, -0.4],
    tuple=(1.3, 0.7, -0.4),
    integers=[1, 2, 3],
    booleans=[True, False, True],
    array=np.array(START),
    int8=np.array([1, 2, 3], dtype=np.int8),
    strided=np.array([START, START]).T.copy()[:, 0],
    read_only=np.broadcast_to(START, 3),
    big_endian=np.array(START, dtype=">f8"),
    long_double=np.array(START, dtype=np.longdouble),
    series=pandas.Series(START, index=list("abc")),
    nullable_series=pandas.Series(START, dtype="Float64"),
    object=np.array(START, dtype=object),
    object_integers=np.array([1, 2, 3], dtype=object),
    mixed_row=mixed_row(),
    decimals=[Decimal("1.3"), Decimal("0.7"), Decimal("-0.4")],
    fractions=[fractions.Fraction(13, 10), fractions.Fraction(7, 10), fractions.Fraction(-2, 5)],
    masked=np.ma.masked_array(START),
    range=range(3),
)
@pytest.mark.parametrize("bounds", [None, [(-2, 1.2)] * 3], ids=["free", "box"])
def test_x0(door, form, bounds):
    assert_same(solve(door, x0=form, bounds=bounds), solve(by_scipy, x0=form, bounds=bounds))


@doors
@forms(
    int=2,
    float=2.0,
    array=np.array(2.0),
    numpy=np.int32(2),
    list=[2],
    decimal=Decimal(2),
    series=pandas.Series([2]),
)
def test_x0_of_one_variable(door, form):
    def one(x):
        return ((x - 1) ** 2 + 0.1 * (x - 1) ** 4).sum()

    assert_same(
        solve(door, fun=one, x0=form, jac=None), solve(by_scipy, fun=one, x0=form, jac=None)
    )


@doors
@pytest.mark.parametrize("kind", ["apart", "together", "none"])
@forms(
    empty=(),
    tuple=(0.25,),
    two=(0.25, 0.5),
    number=0.25,
    array=np.array([0.25, 0.5, 0.75]),
    list=_Makes(lambda: [np.array(0.25)]),
)
def test_args(door, form, kind):
    fun, jac = {"apart": (f, g), "together": (fg, True), "none": (f, None)}[kind]
    if isinstance(form, _Makes):  # one argument, which is a list
        fun, jac = ((lambda x, a, h=h: h(x, a[0])) if callable(h) else h for h in (fun, jac))
    a, b = (solve(way, fun=fun, jac=jac, args=form) for way in (door, by_scipy))
    assert_same(a, b)


@doors
@forms(
    callable=g,
    none=None,
    false=False,
    zero=0,
    two_point="2-point",
    three_point="3-point",
    complex_step="cs",
    row=lambda x: g(x)[None, :],
    column=lambda x: g(x)[:, None],
    list=lambda x: list(g(x)),
    series=lambda x: pandas.Series(g(x)),
    object=lambda x: g(x).astype(object),
    long_double=lambda x: g(x).astype(np.longdouble),
)
def test_jac(door, form):
    if isinstance(form, str) and door is by_method:
        # minimize keeps the names to its own methods: as None they reach any other.
        expected = solve(by_scipy, jac=None)
    else:
        expected = solve(by_scipy, jac=form)
    assert_same(solve(door, jac=form), expected)


@doors
@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
def test_scheme_is_the_names_other_door(door, scheme):
    ours = (
        solve(door, jac=None, options={"scheme": scheme})
        if door is by_method
        else solve(door, jac=scheme)
    )
    assert_same(ours, solve(by_scipy, jac=scheme))


@doors
@forms(
    float=f,
    zero_dimensional=lambda x: np.array(f(x)),
    one_element=lambda x: np.array([f(x)]),
    one_element_twice=lambda x: np.array([[f(x)]]),
    list=lambda x: [f(x)],
    long_double=lambda x: np.longdouble(f(x)),
    object=lambda x: np.array(f(x), dtype=object),
    scribbles=lambda x: (f(x), x.fill(0))[0],
    partial=functools.partial(f),
)
def test_fun(door, form):
    assert_same(solve(door, fun=form), solve(by_scipy, fun=form))


@doors
@forms(
    tuple=fg,
    list=lambda x: [f(x), list(g(x))],
    longer=lambda x: (f(x), g(x), "more"),
    array=lambda x: (np.array([f(x)]), g(x)[:, None]),
)
def test_pairs(door, form):
    assert_same(solve(door, fun=form, jac=True), solve(by_scipy, fun=form, jac=True))


INF, NAN = np.inf, np.nan


@doors
@pytest.mark.parametrize("jac", [g, None], ids=["analytic", "numerical"])
@forms(
    pairs=[(-2, 0.5), (-1.5, 1), (0, 3)],
    lists=[[-2, 0.5], [-1.5, 1], [0, 3]],
    tuple_of_pairs=((-2, 0.5), (-1.5, 1), (0, 3)),
    one_pair_for_all=[(-1.5, 0.5)],
    one_pair_with_none=[(None, 0.5)],
    one_row_for_all=np.array([[-1.5, 0.5]]),
    none=[(None, 0.5), (-1.5, None), (None, None)],
    infinite=[(-INF, 0.5), (-1.5, INF), (-INF, INF)],
    nan=[(NAN, 0.5), (-1.5, NAN), (NAN, NAN)],
    numpy_nan=np.array([[NAN, 0.5], [-1.5, NAN], [NAN, NAN]]),
    array=np.array([[-2, 0.5], [-1.5, 1], [0, 3]]),
    integers=np.array([[-2, 0], [-1, 1], [0, 3]]),
    single=np.array([[-2, 0.5], [-1.5, 1], [0, 3]], dtype=np.float32),
    object=np.array([[None, 0.5], [-1.5, 1], [0, None]], dtype=object),
    arrays_of_one=[(np.array([-2.0]), np.array(0.5)), (-1.5, 1), (0, np.float32(3))],
    decimals=[(Decimal(-2), Decimal("0.5")), (-1.5, 1), (0, 3)],
    iterator=_Makes(lambda: zip([-2, -1.5, 0], [0.5, 1, 3], strict=True)),
    array_of_columns=np.array([[-2, -1.5, 0], [0.5, 1, 3]]).T,
    Bounds=Bounds([-2, -1.5, 0], [0.5, 1, 3]),
    Bounds_of_scalars=Bounds(-1.5, 0.5),
    Bounds_of_both=Bounds([-2, -1.5, 0], 0.5),
    Bounds_of_one=Bounds([-1.5], [0.5]),
    Bounds_from_below=Bounds(lb=[-2, -1.5, 0]),
    Bounds_from_above=Bounds(ub=0.5),
    Bounds_of_nothing=Bounds(),
    Bounds_of_nan=Bounds([NAN, -1.5, NAN], [0.5, NAN, NAN]),
    Bounds_of_integers=Bounds([-2, -1, 0], [0, 1, 3]),
    Bounds_kept=Bounds([-2, -1.5, 0], [0.5, 1, 3], keep_feasible=True),
    Bounds_partly_kept=Bounds([-2, -1.5, 0], [0.5, 1, 3], keep_feasible=[True, False, True]),
)
def test_bounds(door, form, jac):
    assert_same(solve(door, bounds=form, jac=jac), solve(by_scipy, bounds=form, jac=jac))


@doors
@forms(none=None, float=1e-3, zero=0, integer=1, numpy=np.float32(1e-4), array=np.array(1e-3))
def test_tol(door, form):
    assert_same(solve(door, tol=form), solve(by_scipy, tol=form))


@doors
@pytest.mark.parametrize("option", ["ftol", "gtol"])
def test_tol_does_not_touch_a_tolerance_that_is_given(door, option):
    kwargs = {"tol": 1e-2, "options": {option: 1e-9}}
    assert_same(solve(door, **kwargs), solve(by_scipy, **kwargs))


OPTION_FORMS = [
    ("maxcor", 1),
    ("maxcor", np.int64(3)),
    ("ftol", 1e-2),
    ("ftol", 0),
    ("ftol", np.float32(1e-3)),
    ("ftol", np.array(1e-3)),
    ("gtol", 1.0),
    ("gtol", 0),
    ("gtol", -1.0),
    ("gtol", np.inf),
    ("eps", 1e-4),
    ("eps", np.array([1e-6, 1e-7, 1e-8])),
    ("eps", [1e-6, 1e-7, 1e-8]),
    ("eps", None),
    ("maxfun", np.inf),
    ("maxfun", np.int32(400)),
    ("maxiter", 3),
    ("maxiter", 2.5),
    ("maxiter", np.inf),
    ("maxiter", np.int32(3)),
    ("maxls", 3),
    ("maxls", np.int64(50)),
    ("finite_diff_rel_step", None),
    ("finite_diff_rel_step", 1e-4),
    ("finite_diff_rel_step", [1e-4, 1e-5, 1e-6]),
    ("return_all", False),
    ("unknown", 1),
    *(
        # Up to 1.14, SciPy's solver prints if they are positive, and takes no None for iprint.
        (name, value)
        for name in ("disp", "iprint")
        for value in (False, 0, -1, *([None, 1, 101] if SCIPY >= (1, 15) else []))
    ),
    *([("workers", w) for w in (None, 1, map)] if SCIPY >= (1, 16) else []),
]


@doors
@pytest.mark.parametrize("jac", [g, None, "3-point"], ids=["analytic", "numerical", "3-point"])
@pytest.mark.parametrize(("name", "value"), OPTION_FORMS)
def test_options(door, name, value, jac):
    ours = {name: value}
    kwargs = {"jac": jac}
    if door is by_method and isinstance(jac, str):
        kwargs["jac"], ours = None, {**ours, "scheme": jac}
    assert_same(
        solve(door, options=ours, **kwargs), solve(by_scipy, options={name: value}, jac=jac)
    )


@doors
@pytest.mark.parametrize("maxfun", [5, 5.5, np.int32(5)])
def test_maxfun_is_kept_where_scipy_goes_beyond_it(door, maxfun):
    ours, _ = solve(door, options={"maxfun": maxfun})
    scipys, _ = solve(by_scipy, options={"maxfun": maxfun})
    assert ours.nfev == 5 < scipys.nfev
    assert (ours.status, ours.message) == (scipys.status, scipys.message)


@doors
def test_options_may_be_none(door):
    assert_same(solve(door, options=None), solve(by_scipy, options=None))


class Seen(list):
    """Callbacks in each form that SciPy takes; each notes x, and some return what is true."""

    def point(self, xk):
        self.append(xk.copy())
        return True

    def result(self, *, intermediate_result):
        self.append(intermediate_result.x.copy())
        assert intermediate_result.fun == f(intermediate_result.x)
        return True

    def result_by_position(self, intermediate_result):
        return self.result(intermediate_result=intermediate_result)

    def another_name(self, x, spare=None):
        return self.point(x)

    def stops(self, xk):
        self.append(xk.copy())
        if len(self) == 3:
            raise StopIteration("enough")

    def stops_by_result(self, *, intermediate_result):
        self.stops(intermediate_result.x)


class Callable(Seen):
    def __call__(self, xk):
        return self.point(xk)


CALLBACKS = {
    "point": lambda seen: seen.point,
    "result": lambda seen: seen.result,
    "result_by_position": lambda seen: seen.result_by_position,
    "another_name": lambda seen: seen.another_name,
    "stops": lambda seen: seen.stops,
    "stops_by_result": lambda seen: seen.stops_by_result,
    "lambda": lambda seen: lambda xk: seen.point(xk),
    "partial": lambda seen: functools.partial(lambda tag, xk: seen.point(xk), "tag"),
    "object": lambda seen: _object(seen),
    "star": lambda seen: lambda *a: seen.point(*a),
    "append": lambda seen: lambda xk: seen.append(xk.copy()) or 1,
}


def _object(seen):
    callback = Callable()
    callback.append = seen.append
    return callback


@doors
@pytest.mark.parametrize("jac", [g, None], ids=["analytic", "numerical"])
@pytest.mark.parametrize("form", CALLBACKS.values(), ids=CALLBACKS)
def test_callbacks(door, form, jac):
    seen, scipys_seen = Seen(), Seen()
    ours = solve(door, callback=form(seen), jac=jac)
    scipys = solve(by_scipy, callback=form(scipys_seen), jac=jac)
    assert_same(ours, scipys)
    assert len(seen) == len(scipys_seen) == ours[0].nit
    np.testing.assert_allclose(seen, scipys_seen, rtol=1e-5, atol=1e-6)


# --- fmin_l_bfgs_b ------------------------------------------------------------------------


def fmin_by_patch(*args, **kwargs):
    with lbfgsb.patched_scipy():
        return scipy.optimize.fmin_l_bfgs_b(*args, **kwargs)


fmins = pytest.mark.parametrize(
    "fmin", [lbfgsb.fmin_l_bfgs_b, fmin_by_patch], ids=["ours", "patch"]
)


def assert_same_fmin(fmin, *args, **kwargs):
    if args == ():
        kwargs = {"func": f, "x0": START, **kwargs}
    if kwargs.keys() & {"func"} and not kwargs.keys() & {"fprime", "approx_grad"}:
        kwargs["fprime"] = g
    ends = []
    for solve in (fmin, scipy.optimize.fmin_l_bfgs_b):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fresh = {name: _fresh(value) for name, value in kwargs.items()}
            ends.append((*solve(*args, **fresh), [w.category for w in caught]))
    (x, fx, d, warned), (scipys_x, scipys_fx, scipys_d, scipy_warned) = ends
    np.testing.assert_allclose(x, scipys_x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fx, scipys_fx, rtol=1e-6, atol=1e-9)
    assert d.keys() == scipys_d.keys()
    for key in d.keys() - {"grad"}:
        assert d[key] == scipys_d[key], key
    assert warned == scipy_warned


FMIN_FORMS = {
    "pair": {"func": fg, "fprime": None},
    "approx_grad": {"approx_grad": True},
    "approx_grad_1": {"approx_grad": 1, "fprime": g},
    "approx_grad_false": {"approx_grad": False, "fprime": g},
    "fprime_false": {"fprime": False},
    "fprime_true": {"fprime": True},
    "fprime_name": {"fprime": "3-point"},
    "args": {"args": (0.25,)},
    "args_list": {"args": [0.25, 0.5]},
    "args_array": {"args": np.array([0.25, 0.5])},
    "args_pair": {"func": fg, "fprime": None, "args": (0.25,)},
    "args_approx": {"args": (0.25,), "approx_grad": True},
    "x0_row": {"x0": np.array([START])},
    "x0_matrix": {"x0": np.array([START]).T},
    "x0_object": {"x0": np.array(START, dtype=object)},
    "x0_series": {"x0": pandas.Series(START)},
    "x0_integers": {"x0": [1, 2, 3]},
    "bounds_none": {"bounds": [(None, 0.5), (-1.5, None), (None, None)]},
    "bounds_array": {"bounds": np.array([[-2, 0.5], [-1.5, 1], [0, 3]])},
    "bounds_arrays_of_one": {"bounds": [(np.array([-2.0]), np.array([0.5])), (-1.5, 1), (0, 3)]},
    "bounds_dtype_object": {"bounds": np.array([[None, 0.5], [-1.5, 1], [0, None]], dtype=object)},
    "m": {"m": 1},
    "factr": {"factr": 1e13},
    "factr_zero": {"factr": 0.0},
    "factr_integer": {"factr": 10},
    "pgtol": {"pgtol": 1.0},
    "pgtol_zero": {"pgtol": 0},
    "epsilon": {"approx_grad": True, "epsilon": 1e-4},
    "epsilon_array": {"approx_grad": True, "epsilon": np.array([1e-6, 1e-7, 1e-8])},
    "epsilon_none": {"approx_grad": True, "epsilon": None},
    "maxfun": {"maxfun": 400},
    "maxiter": {"maxiter": 3},
    "maxiter_float": {"maxiter": 3.0},
    "maxls": {"maxls": 3},
    "callback_none": {"callback": None},
    "callback_true": {"callback": lambda xk: True},
    "callback_result": {"callback": lambda *, intermediate_result: None},
    "callback_stops": {"callback": _Makes(lambda: Seen().stops)},
}
if "disp" in OPTIONS:
    for option in ("disp", "iprint"):
        values = (0, -1, *([None] if SCIPY >= (1, 15) else []))
        FMIN_FORMS |= {f"{option}_{value}": {option: value} for value in values}


@fmins
@pytest.mark.parametrize("form", FMIN_FORMS.values(), ids=FMIN_FORMS)
def test_fmin(fmin, form):
    assert_same_fmin(fmin, **form)


@fmins
def test_fmin_by_position(fmin):
    """Their order is that of the SciPy installed: 1.18 has no iprint and no disp any more."""
    box = [(-2, 0.5), (-1.5, 1), (0, 3)]
    args = [f, START, g, (0.25,), 0, box, 7, 1e8, 1e-4, 1e-8]
    printing = "disp" in OPTIONS
    args += [-1, 90, 4, None, None, 9] if printing else [90, 4, None, 9]
    for count in range(3, len(args) + 1):
        assert_same_fmin(fmin, *args[:count])


# --- a start that is not a number ---------------------------------------------------------


def nan_starts():
    return pytest.mark.parametrize(
        "x0",
        [
            [NAN, 1.0, 0.5],
            np.full(3, NAN),
            [1.0, INF, 0.5],
            np.array([1.0, None, 0.5], dtype=object),
            pandas.Series([1.0, None, 0.5]),
        ],
        ids=["nan", "all", "infinite", "object", "series"],
    )


@doors
@nan_starts()
@pytest.mark.parametrize("jac", [g, True, None], ids=["analytic", "together", "numerical"])
def test_nan_in_x0_ends_as_scipys_runs_do(door, x0, jac):
    points = []

    def fun(x):
        points.append(x.copy())
        return fg(x) if jac is True else f(x)

    with np.errstate(all="ignore"):
        ours, _ = solve(door, x0=x0, jac=jac, fun=fun)
        evaluated = list(points)
        scipys, _ = solve(by_scipy, x0=x0, jac=jac, fun=fun)
    assert (ours.status, ours.success, ours.nit) == (scipys.status, scipys.success, scipys.nit)
    assert (ours.status, ours.success, ours.nit) == (2, False, 0)
    assert np.isnan(ours.fun) == np.isnan(scipys.fun) or np.isinf(ours.fun)
    np.testing.assert_array_equal(ours.x, scipys.x)
    assert scipys.keys() <= ours.keys()
    assert ours.message.startswith("ABNORMAL: ")
    assert "x0[" in ours.message
    # SciPy evaluates some twenty times; once is enough to know.
    assert ours.nfev == len(evaluated) == 1
    # To other methods minimize makes two functions of one that returns the pair.
    assert ours.njev == int(jac is True and door is by_patch)
    (point,) = evaluated
    np.testing.assert_array_equal(point, ours.x)
    np.testing.assert_array_equal(ours.hess_inv @ np.ones(3), np.ones(3))


@fmins
def test_nan_in_x0_of_fmin(fmin):
    x, fx, d = fmin(f, [NAN, 1.0, 0.5], g)
    scipys_x, scipys_fx, scipys_d = scipy.optimize.fmin_l_bfgs_b(f, [NAN, 1.0, 0.5], g)
    np.testing.assert_array_equal(x, scipys_x)
    assert np.isnan([fx, scipys_fx]).all()
    assert d["warnflag"] == scipys_d["warnflag"] == 2
    assert d["nit"] == scipys_d["nit"] == 0


@doors
def test_nan_in_x0_in_a_box(door):
    with np.errstate(all="ignore"):
        ours, _ = solve(door, x0=[NAN, 9.0, 0.5], bounds=[(-2, 2)] * 3)
        scipys, _ = solve(by_scipy, x0=[NAN, 9.0, 0.5], bounds=[(-2, 2)] * 3)
    assert ours.status == scipys.status == 2
    np.testing.assert_array_equal(ours.x, [NAN, 2.0, 0.5])
    np.testing.assert_array_equal(scipys.x, ours.x)


@doors
def test_nan_in_x0_where_a_variable_is_fixed_does_not_matter(door):
    """With numerical gradients SciPy never looks at x0 there."""
    kwargs = {"x0": [NAN, 0.7, -0.4], "bounds": [(0.5, 0.5), (-3, 3), (-3, 3)], "jac": None}
    ours, _ = solve(door, **kwargs)
    scipys, _ = solve(by_scipy, **kwargs)
    assert ours.success
    assert scipys.success
    np.testing.assert_allclose(ours.x, scipys.x, atol=1e-6)


@doors
def test_a_finite_f_does_not_make_a_run_of_a_start_that_is_none(door):
    """SciPy calls this a convergence at x = (nan, 0.5), having moved nothing."""
    ours, _ = solve(door, fun=lambda x: (x[1] - 1) ** 2, x0=[NAN, 0.5], jac=None)
    assert (ours.status, ours.success, ours.fun) == (2, False, 0.25)


@pytest.mark.parametrize("bad", [NAN, INF])
def test_minimize_lbfgsb_keeps_its_error(bad):
    with pytest.raises(ValueError, match=r"x0 must be finite; 1 of its 3 values"):
        lbfgsb.minimize_lbfgsb(x0=[1.0, bad, 0.5], fun=fg, jac=True)


# --- what is an error in both -------------------------------------------------------------


@doors
@pytest.mark.parametrize(
    "kwargs",
    [
        {"x0": "abc"},
        {"x0": [START, START]},
        {"x0": [None, "a", 1.0]},
        {"x0": [{}, 1.0, 2.0]},
        {"bounds": [(0, 1), (0, 1)]},
        {"bounds": [(1, 0)] * 3},
        {"bounds": [(0, 1, 2)] * 3},
        {"bounds": [(0, "a")] * 3},
        {"bounds": []},
        {"bounds": 3},
        {"bounds": Bounds([0, 0], [1, 1])},
        {"options": {"maxls": 0}},
        {"options": {"maxiter": None}},
        {"options": {"ftol": None}},
        {"callback": 3},
        {"fun": lambda x: x},
    ],
    ids=lambda kwargs: "-".join(f"{k}" for k in kwargs),
)
def test_errors_of_scipys_are_errors(door, kwargs):
    for way in (by_scipy, door):
        with pytest.raises((TypeError, ValueError)):
            solve(way, **kwargs)


@doors
def test_a_fun_that_returns_nothing_is_an_error(door):
    # SciPy 1.18 goes on from NaN.
    with pytest.raises(TypeError, match="None"):
        solve(door, fun=lambda x: None)


@doors
def test_an_unknown_option_is_named(door):
    _, warned = solve(door, options={"unknown": 1})
    assert warned == [OptimizeWarning]

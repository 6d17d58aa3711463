"""The gradient monitor, `check_gradient` and `diagnose`: each says what is so, and nothing else."""

import pickle
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.optimize
from lbfgsb._core.slope_monitor import MISMATCH_ALARM
from problems import random_problem, rosen, rosen_fg, rosen_grad, same_bits

from lbfgsb import GradientWarning, Solver, check_gradient, diagnose, minimize_lbfgsb
from lbfgsb.benchmarks import compiled_rosenbrock

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

X0 = np.array([-1.2, 1.0, -0.5, 2.0])
quiet = pytest.mark.filterwarnings("ignore::lbfgsb.GradientWarning")


def changed(change):
    """Rosenbrock's function with its gradient changed."""
    return lambda x: (rosen(x), change(rosen_grad(x).copy()))


def double(i):
    def change(g):
        g[i] *= 2
        return g

    return change


# --- in a run -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_the_right_gradient_gives_no_warning_wherever_the_run_stops(seed):
    p = random_problem(seed, 6)
    options = {"x0": p.x0, "fun": p.fg, "jac": True, "bounds": p.bounds, "ftol": 1e-14}
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradientWarning)
        for maxiter in (1, 2, 3, 5, 8, 13, 50):
            res = minimize_lbfgsb(**options, maxiter=maxiter)
    assert 0 <= res.gradient_mismatch <= MISMATCH_ALARM


WRONG = {
    "halved": lambda g: g / 2,
    "rolled": lambda g: np.roll(g, 1),
    "doubled": double(2),
    "sign": lambda g: g * [1, -1, 1, 1, 1, 1],
    "chain": lambda g: g * [3, 1, 3, 1, 3, 1],
}


def solve_smooth(change):
    c = np.arange(1.0, 7.0)

    def fun(x):
        g = c * np.sinh(x - c / 5) + x.sum()
        return c @ np.cosh(x - c / 5) + 0.5 * x.sum() ** 2, change(g)

    # With the modified secant equation the runs with three of the wrong gradients, which are zero
    # where the right one is, take steps that end where f and the slopes agree better.
    return minimize_lbfgsb(
        x0=np.full(6, 2.0), fun=fun, jac=True, maxiter=200, ftol=1e-12, secant="standard"
    )


@quiet
@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_gradient_shows_in_the_mismatch(kind):
    assert solve_smooth(WRONG[kind]).gradient_mismatch > MISMATCH_ALARM
    assert solve_smooth(lambda g: g).gradient_mismatch < 0.01


@pytest.mark.parametrize("kind", ["halved", "sign", "chain"])
def test_a_wrong_gradient_warns_once_with_the_evidence(kind):
    with pytest.warns(GradientWarning) as record:
        solve_smooth(WRONG[kind])
    assert len(record) == 1
    text = str(record[0].message)
    assert text.startswith(
        "the gradient seems inconsistent with fun: along the last steps f changed by "
    )
    assert text.endswith("; see lbfgsb.check_gradient")
    assert " where the gradient predicts " in text
    assert record[0].filename == __file__


def test_a_search_that_ends_after_many_bad_trials_warns():
    with pytest.warns(GradientWarning):
        res = minimize_lbfgsb(x0=X0, fun=changed(lambda g: g * [1, -1, 1, 1]), jac=True)
    assert res.status == 2


@pytest.mark.parametrize("jac", [None, "2-point", "3-point"])
def test_numerical_gradients_give_no_warning(jac):
    with warnings.catch_warnings():
        warnings.simplefilter("error", GradientWarning)
        minimize_lbfgsb(x0=X0, fun=rosen, jac=jac, ftol=0, gtol=0, maxiter=500)


def test_an_objective_that_is_redefined_gives_no_warning():
    weight = [1.0]

    def fun(x):
        f, g = rosen_fg(x)
        return weight[0] * f, weight[0] * g

    def update(x, f0, f0_old, grad, points, gradients):
        weight[0] *= 0.7
        scale = 0.7
        for g in gradients:
            g *= scale
        return scale * f0, scale * f0_old, scale * grad, gradients

    with warnings.catch_warnings():
        warnings.simplefilter("error", GradientWarning)
        res = minimize_lbfgsb(x0=X0, fun=fun, jac=True, update_fun_def=update, ftol=0)
    assert res.gradient_mismatch <= MISMATCH_ALARM


@quiet
def test_an_abnormal_end_says_in_one_sentence_what_the_evidence_points_to():
    def message(fun, x0=X0, **options):
        res = minimize_lbfgsb(x0=x0, fun=fun, jac=True, **options)
        assert res.status == 2
        head, _, why = res.message.partition(": ")
        assert head == "ABNORMAL_TERMINATION_IN_LNSRCH"
        return why

    def wall(x):
        return (rosen(x), rosen_grad(x)) if np.array_equal(x, X0) else (np.nan, rosen_grad(x))

    def kink(x):
        return np.abs(x).sum(), np.where(x >= 0, 1.0, -1.0)

    assert message(changed(lambda g: -g)).startswith("the gradient seems inconsistent with fun")
    assert message(wall).startswith("f or its gradient was not finite at any point tried")
    assert message(kink, x0=[0.0], maxls=2).startswith("no lower f was found in 2 trials, all that")


@quiet
def test_the_monitor_resumes_to_the_bit():
    options = {"fun": changed(lambda g: g / 2), "jac": True, "ftol": 1e-9}
    whole = minimize_lbfgsb(x0=X0, **options, maxiter=200)
    assert whole.nit > 20
    for k in (1, 4, 9, 20):
        part = pickle.loads(pickle.dumps(minimize_lbfgsb(x0=X0, **options, maxiter=k)))
        rest = minimize_lbfgsb(x0=part.x, **options, maxiter=200, checkpoint=part)
        assert rest.gradient_mismatch == whole.gradient_mismatch
        assert same_bits(rest._memory.snapshot()["monitor"], whole._memory.snapshot()["monitor"])


@quiet
def test_a_solver_that_is_done_warns_with_its_result():
    solver = Solver(X0)
    while not solver.done:
        x = solver.ask()
        solver.tell(rosen(x), -rosen_grad(x))
    with pytest.warns(GradientWarning):
        solver.result()


# --- check_gradient -----------------------------------------------------------------------


def test_a_right_gradient_is_ok_at_the_price_of_four_evaluations_a_direction():
    calls = []
    x = np.linspace(-1, 2, 50)
    report = check_gradient(lambda x: calls.append(1) or rosen(x), rosen_grad, x)
    assert report.ok
    assert report.verdict == ["ok"] * 10
    assert report.nfev == len(calls) == 1 + 2 * 7 + 10 * 4    # twice 7 for the noise
    assert report.wrong.size == 0
    error = np.abs(report.analytic - report.numerical)
    assert (error <= report.error + 1e-9 * np.abs(report.analytic)).all()


@pytest.mark.parametrize("i", [0, 7, 49])
@pytest.mark.parametrize("factor", [0.0, 2.0, -1.0], ids=["zeroed", "doubled", "sign"])
def test_one_wrong_component_of_fifty_is_found(i, factor):
    def jac(x):
        g = rosen_grad(x).copy()
        g[i] *= factor
        return g

    report = check_gradient(rosen, jac, np.linspace(-1, 2, 50))
    assert not report.ok
    assert report.wrong.tolist() == [i]
    assert f"component {i} is" in repr(report)


def test_a_factor_that_is_missing_everywhere_is_named():
    report = check_gradient(lambda x: (rosen(x), rosen_grad(x) / 2), True, X0, directions=None)
    assert report.wrong.size == 4
    assert "0.5 times what it should be, everywhere" in repr(report)


def test_all_components_on_request():
    report = check_gradient(rosen, rosen_grad, X0, directions=None)
    assert sorted(report.index) == [0, 1, 2, 3]


def test_nothing_outside_the_bounds_is_evaluated_and_fixed_variables_are_said_to_be_so():
    lower, upper = np.array([0.0, 1.0, 2.0, -1.0]), np.array([1.0, 1.0, 2.0 + 1e-5, np.inf])

    def fun(x):
        assert (lower <= x).all()
        assert (x <= upper).all()
        return rosen(x)

    x = [0.0, 1.0, 2.0 + 1e-5, 0.5]
    for directions in (10, None):
        report = check_gradient(
            fun, rosen_grad, x, bounds=np.stack([lower, upper], axis=1), directions=directions
        )
        assert report.ok
    verdict = dict(zip(report.index.tolist(), report.verdict, strict=True))
    assert verdict == {0: "ok", 1: "fixed", 2: "ok", 3: "ok"}
    assert "no room" in repr(report)


def test_noise_and_kinks_are_told_from_a_wrong_gradient():
    rng = np.random.default_rng(3)
    noisy = check_gradient(
        lambda x: x @ x * (1 + 1e-3 * rng.standard_normal()), lambda x: 2 * x, [0.5, 1.0]
    )
    assert noisy.ok
    assert set(noisy.verdict) == {"unknown"}
    assert 1e-5 < noisy.noise < 1e-1
    kinked = check_gradient(lambda x: np.abs(x).sum(), np.sign, [0.0, 1.0], directions=None)
    assert dict(zip(kinked.index.tolist(), kinked.verdict, strict=True)) == {0: "kink", 1: "ok"}


def test_not_finite_values_are_said_to_be_so():
    report = check_gradient(rosen, lambda x: np.where(np.arange(4) == 2, np.nan, rosen_grad(x)), X0)
    assert not report.ok
    assert report.wrong.tolist() == [2]
    report = check_gradient(lambda x: np.nan, rosen_grad, X0)
    assert set(report.verdict) == {"not finite"}


@pytest.mark.parametrize("jac", [lambda x: np.ones(2), lambda x: np.full(2, np.nan)])
def test_where_nothing_is_finite_the_gradient_is_not_called_wrong(jac):
    report = check_gradient(lambda x: 0.0 if not x.any() else np.nan, jac, [0.0, 0.0])
    assert not report.ok
    assert not {"ok", "WRONG"} & set(report.verdict)
    assert repr(report).startswith("f, or its gradient, is not finite here.")


def test_differences_that_tell_nothing_are_said_to_do_so():
    rng = np.random.default_rng(0)
    report = check_gradient(lambda x: 1e3 * rng.normal(), lambda x: 1e-3 * x, [1.0, 1.0])
    assert report.ok
    assert "ok" not in report.verdict
    assert repr(report).startswith("The differences of f are too inaccurate to tell.")


def test_the_same_seed_gives_the_same_report():
    a, b, c = (check_gradient(rosen, rosen_grad, X0, rng=seed) for seed in (None, 0, 1))
    assert repr(a) == repr(b) != repr(c)


@pytest.mark.parametrize(
    ("kwargs", "error", "name"),
    [
        ({"fun": 3}, TypeError, "fun"),
        ({"jac": "2-point"}, TypeError, "jac"),
        ({"directions": 0}, ValueError, "directions"),
        ({"bounds": [(0, 1)]}, ValueError, "bounds"),
    ],
    ids=["fun", "jac", "directions", "bounds"],
)
def test_check_gradient_names_what_is_wrong_with_its_arguments(kwargs, error, name):
    with pytest.raises(error, match=name):
        check_gradient(**({"fun": rosen, "jac": rosen_grad, "x": X0} | kwargs))


# --- diagnose -----------------------------------------------------------------------------


def solve(fun, x0=(-1.2, 1.0), **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientWarning)
        return minimize_lbfgsb(x0=x0, fun=fun, jac=True, **options)


def noisy(x, rng=np.random.default_rng(0)):  # noqa: B008
    return rosen(x) + 1e-6 * rng.standard_normal(), rosen_grad(x)


def entropy(x):
    with np.errstate(all="ignore"):
        return x @ np.log(x), np.log(x) + 1


def falling(x):
    with np.errstate(over="ignore"):
        return -np.sum(x**3), -3 * x**2


D = np.logspace(-6, 6, 8)
CASES = {
    "converged": (lambda: diagnose(solve(rosen_fg, ftol=1e-12), rosen_fg, True)),
    "limit": (lambda: diagnose(solve(rosen_fg, maxiter=7), rosen_fg, True)),
    "gradient": (lambda: diagnose(solve(changed(lambda g: g / 2), ftol=1e-9, maxiter=200))),
    "pinned at start": (
        lambda: diagnose(solve(rosen_fg, (-2.0, 5.0), bounds=[(-2, -1.9), (5, 9)], gtol=1e9))
    ),
    "stationary at start": (lambda: diagnose(solve(lambda x: (-x @ x, -2 * x), (0.0, 0.0)))),
    "ftol early": (lambda: diagnose(solve(lambda x: (rosen(x) + 1e5, rosen_grad(x))))),
    "noise": (lambda: diagnose(solve(noisy, ftol=0), noisy, True)),
    "unbounded": (lambda: diagnose(solve(falling, (1.0, 1.0)))),
    "not finite": (lambda: diagnose(solve(entropy, (30.0, 1e-3)))),
    "start not finite": (lambda: diagnose(solve(entropy, (-1.0, 1.0)))),
    "scaling": (
        lambda: diagnose(solve(lambda x: (x @ (D * x), 2 * D * x), np.ones(8), ftol=0, maxiter=999))
    ),
    "below rounding": (
        lambda: diagnose(solve(lambda x: (rosen(x) + 1e3, rosen_grad(x)), ftol=0, gtol=0,
                               maxiter=999))
    ),
    "too large": (
        lambda: diagnose(
            solve(lambda x: ((x[0] / 1e7 - 3) ** 2 + 1, 2e-7 * (x / 1e7 - 3)), (1e7,))
        )
    ),
    "no slope": (
        lambda: diagnose(
            solve(lambda x: (x[0] ** 4, np.array([4 * x[0] ** 3, 0.0])), (3.0, 1.0), maxiter=3)
        )
    ),
}


@pytest.mark.parametrize("code", CASES)
def test_each_case_is_found_and_fits_a_terminal(code):
    found = CASES[code]()
    assert code in found.codes
    assert found[code].code == code
    assert max(map(len, str(found).splitlines())) < 80
    assert found[code].advice or code == "converged"


@pytest.mark.parametrize("code", ["converged", "below rounding"])
def test_a_good_run_has_no_problem(code):
    assert all(finding.severity != "problem" for finding in CASES[code]())


def test_pinned_variables_are_told_by_the_bounds():
    def fun(x):
        return x.sum(), np.ones(3)

    res = minimize_lbfgsb(x0=[1.0, 2.0, 3.0], fun=fun, jac=True, bounds=[(1, 9), (2, 9), (3, 9)])
    assert diagnose(res)["pinned at start"].numbers["pinned"].tolist() == [0, 1, 2]


def test_the_noise_is_measured():
    assert 2e-7 < CASES["noise"]()["noise"].numbers["noise"] < 5e-6
    assert "noise" not in diagnose(solve(rosen_fg, ftol=1e-15), rosen_fg, True).codes


def test_a_history_tells_how_f_went_down():
    values = []
    res = solve(rosen_fg, maxiter=9, callback=lambda xk: values.append(rosen(xk)))
    found = diagnose(res, history=SimpleNamespace(fun=np.array(values)))
    assert found["limit"].numbers["fall"] == values[-6] - values[-1]
    assert "last five iterations" in found["limit"].text


def test_a_result_of_another_solver_will_do():
    from scipy.optimize import minimize

    res = minimize(rosen_fg, [-1.2, 1.0], jac=True, method="L-BFGS-B", options={"maxiter": 5})
    assert diagnose(res).codes[0] == "limit"


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [({"result": 3}, "result"), ({"fun": 3}, "fun"), ({"history": 3}, "history")],
    ids=["result", "fun", "history"],
)
def test_diagnose_names_what_is_wrong_with_its_arguments(kwargs, name):
    with pytest.raises(TypeError, match=name):
        diagnose(**({"result": solve(rosen_fg)} | kwargs))


# --- findings of the field ----------------------------------------------------------------


def test_maxls_is_named_where_it_ended_the_search():
    res = minimize_lbfgsb(x0=[-1.2, 1.0], fun=rosen, jac=rosen_grad, maxls=1)
    assert (res.status, res.nit, res.nfev) == (2, 0, 2)
    assert "in 1 trial, all that maxls allows" in res.message


def test_differences_are_named_where_they_know_no_better():
    runs = (
        minimize_lbfgsb(x0=[-1.2, x], fun=rosen, jac="3-point", ftol=0, gtol=0, maxiter=500)
        for x in np.linspace(1, 2, 50)
    )
    res = next(res for res in runs if res.status == 2)  # with luck f is still seen to decrease
    assert "by 3-point differences, predicts" in res.message
    found = diagnose(res, rosen)
    assert found["differences"].severity == "problem"
    assert "check_gradient" not in repr(found)


def test_a_model_never_foresees_more_than_the_run_has_gained():
    d = 10.0 ** np.linspace(-6, 6, 12)
    for maxiter in range(1, 60):
        res = minimize_lbfgsb(
            x0=np.ones(12), fun=lambda x: (0.5 * d @ x**2, d * x), jac=True, maxiter=maxiter
        )
        for finding in diagnose(res):
            foreseen = finding.numbers.get("foreseen", np.nan)
            assert not foreseen > 0.5 * d.sum() - res.fun
            assert "nan" not in str(finding)


def test_what_has_findings_is_not_called_free_of_suspicion():
    d = np.array([1e-6, 1.0, 1e6])
    res = minimize_lbfgsb(x0=np.ones(3), fun=lambda x: (0.5 * d @ x**2, d * x), jac=True)
    found = diagnose(res)
    assert "scaling" in found.codes
    assert "Nothing suspicious" not in repr(found)
    assert "x_scale=[1000, 1, 0.001]" in found["scaling"].advice


def test_a_long_x_scale_is_told_by_its_extremes():
    d = np.ones(50)
    d[40] = 1e-8
    res = minimize_lbfgsb(
        x0=np.ones(50), fun=lambda x: (0.5 * d @ x**2, d * x), jac=True, ftol=0, gtol=1e-12,
        maxiter=100,
    )  # fmt: skip
    advice = diagnose(res)["scaling"].advice
    assert "10000 for x[40]" in advice
    assert "[1, 1, 1" not in advice


def test_a_kink_at_the_result_is_found():
    def fun(x):
        return np.abs(x).sum(), np.sign(x)

    found = diagnose(minimize_lbfgsb(x0=[1.3, -2.0], fun=fun, jac=True), fun, True)
    assert found.codes == ["kink", "converged"]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_numbers_that_overflow_make_no_warning_of_the_diagnosis():
    def fun(x):
        with np.errstate(all="ignore"):
            return -np.exp(x).sum(), -np.exp(x)

    found = diagnose(minimize_lbfgsb(x0=[1.3, 2.0], fun=fun, jac=True), fun, True)
    assert "unbounded" in found.codes
    assert "noise" not in found.codes


def test_a_result_without_a_gradient_gets_one_from_jac():
    res = scipy.optimize.minimize(rosen, X0, method="Nelder-Mead", options={"maxiter": 4000})
    assert "jac" not in res
    assert diagnose(res, rosen, rosen_grad).codes == ["converged"]
    with pytest.raises(TypeError, match="the result has no jac: diagnose needs fun and jac"):
        diagnose(res)


def test_compiled_objectives_are_checked_and_diagnosed():
    fun = compiled_rosenbrock
    report = check_gradient(fun, None, X0)
    assert report.ok
    np.testing.assert_allclose(report.jac, rosen_grad(X0), rtol=1e-14)
    res = minimize_lbfgsb(x0=X0, fun=fun, ftol=1e-12, gtol=1e-6, maxiter=200)
    assert diagnose(res, fun).codes == ["converged"]


def test_a_diagnosis_is_a_sequence_of_findings_that_are_found_by_code_too():
    found = diagnose(minimize_lbfgsb(x0=X0, fun=rosen, jac=rosen_grad, maxiter=3))
    assert len(found) == len(found.codes) > 0
    assert [found[i] for i in range(len(found))] == list(found)
    assert found["limit"].code == "limit"
    with pytest.raises(KeyError, match="nothing"):
        found["nothing"]
    with pytest.raises(IndexError):
        found[len(found)]


def test_a_run_that_its_callback_has_ended_is_said_to_be():
    def stop(intermediate_result):
        raise StopIteration

    res = minimize_lbfgsb(x0=X0, fun=rosen, jac=rosen_grad, callback=stop)
    assert "ended by its callback or objective" in str(diagnose(res, rosen, rosen_grad))


@quiet
def test_a_gradient_that_is_wrong_at_the_result_is_told_from_one_that_was_on_the_way():
    halved = changed(lambda g: g / 2)
    res = minimize_lbfgsb(x0=X0, fun=halved, jac=True, maxiter=12)
    assert res.gradient_mismatch > MISMATCH_ALARM
    found = diagnose(res, halved, True)
    assert found["gradient"].severity == "problem"
    assert "0.5 times what it should be" in found["gradient"].text
    found = diagnose(res, rosen, rosen_grad)
    assert "gradient" not in found.codes
    assert "At the result the gradient is right" in found["gradient on the way"].text


def test_a_gradient_that_is_not_finite_at_the_start_is_said_to_be_so():
    res = minimize_lbfgsb(x0=X0, fun=lambda x: (rosen(x), np.where(x == 1, np.nan, x)), jac=True)
    finding = diagnose(res)["start not finite"]
    assert finding.severity == "problem"
    assert "1 of 4 components of the gradient at the start" in finding.text
    assert finding.numbers["index"].tolist() == [1]

"""The pictures of runs: what is drawn where. How it looks is for eyes; see docs/figures."""

import io

import numpy as np
import pytest
from problems import BOX, X0, random_problem, rosen, rosen_grad, same_bits
from scipy.optimize import Bounds, minimize

from lbfgsb import minimize_lbfgsb, plot_bounds, plot_convergence
from lbfgsb.callbacks import History

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

LONG = {"ftol": 0, "gtol": 1e-9, "maxiter": 500}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def run(history=None, **kwargs):
    history = History() if history is None else history
    problem = {"x0": X0, "fun": rosen, "jac": rosen_grad}
    return minimize_lbfgsb(**(problem | LONG | {"callback": history} | kwargs))


def curves(ax):
    """The lines of runs: y against x, without the marks at their ends."""
    return [line for line in ax.lines if line.get_marker() == "None"]


def marks_at_zero(ax):
    return [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "v"]


def draws(figure):
    """Whether the figure can be drawn, and text stays in it."""
    figure.savefig(io.BytesIO(), format="svg")
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    box = figure.bbox
    for ax in figure.axes:
        for text in (ax.xaxis.label, ax.yaxis.label):
            if text.get_visible() and text.get_text():
                extent = text.get_window_extent(renderer)
                assert box.x0 - 1 <= extent.x0
                assert extent.x1 <= box.x1 + 1
                assert box.y0 - 1 <= extent.y0
                assert extent.y1 <= box.y1 + 1


# --- plot_convergence ---------------------------------------------------------------------


@pytest.mark.parametrize("x", ["nit", "nfev", "time"])
def test_a_run_is_drawn_in_two_panels(x):
    res = run()
    top, bottom = plot_convergence(res, x=x)
    h = res.history
    for ax, values in ((top, h.fun - h.fun.min()), (bottom, h.projected_gradient)):
        (line,) = curves(ax)
        assert same_bits(line.get_xdata(), getattr(h, x))
        drawn = line.get_ydata()
        assert same_bits(drawn[values > 0], values[values > 0])
        assert np.isnan(drawn[values == 0]).all()
        assert ax.get_yscale() == "log"
    assert bottom.get_xlabel() == {
        "nit": "iteration", "nfev": "evaluations of $f$", "time": "wall time in s",
    }[x]  # fmt: skip
    assert top.get_legend() is None
    draws(top.figure)


def test_an_arrow_shows_where_f_is_the_best():
    res = run()
    top, bottom = plot_convergence(res)
    assert marks_at_zero(top) == [res.nit]
    assert marks_at_zero(bottom) == []
    assert len(top.texts) == 1  # from the last f above


def test_an_arrow_shows_where_the_projected_gradient_is_zero():
    history = History()
    for f, norm in ((3.0, 2.0), (2.0, 0.0)):
        history._append(len(history) + 1, 1, 1, f, norm, 1.0, 0, X0)
    _, bottom = plot_convergence(history)
    assert marks_at_zero(bottom) == [2]


def test_one_arrow_for_all_of_a_stretch_at_the_best():
    history = History()
    for f in (3.0, 1.0, 1.0, 1.0):
        history._append(len(history) + 1, 1, 1, f, 1.0, 1.0, 0, X0)
    top, _ = plot_convergence(history)
    assert marks_at_zero(top) == [2]
    assert len(top.texts) == 1


def test_with_the_minimum_known_there_is_no_arrow():
    res = run()
    top, _ = plot_convergence(res, f_best=-1.0)
    assert same_bits(curves(top)[0].get_ydata(), res.history.fun + 1)
    assert marks_at_zero(top) == []


def test_several_runs_share_f_best_and_have_a_legend():
    runs = [run(x0=x0).history for x0 in (X0, [0.5, 2.0])]
    runs.append(run(maxiter=5).history)
    top, bottom = plot_convergence(runs, labels=["a", "b", "c"])
    assert [t.get_text() for t in top.get_legend().get_texts()] == ["a", "b", "c"]
    best = min(h.fun.min() for h in runs)
    for h, line in zip(runs, curves(top), strict=True):
        gap = h.fun - best
        assert same_bits(line.get_ydata()[gap > 0], gap[gap > 0])
    assert len({line.get_color() for line in curves(top)}) == 3
    assert len(curves(bottom)) == 3
    draws(top.figure)


@pytest.mark.parametrize(
    ("as_given", "labels", "expected"),
    [
        (list, None, ["run 1", "run 2"]),
        (tuple, ("x", 3), ["x", "3"]),
        (lambda runs: dict(zip("pq", runs, strict=True)), None, ["p", "q"]),
        (lambda runs: dict(zip("pq", runs, strict=True)), ["r", "s"], ["r", "s"]),
        (iter, None, ["run 1", "run 2"]),
    ],
    ids=["list", "tuple, labels", "mapping", "mapping, labels", "iterator"],
)
def test_names_of_runs(as_given, labels, expected):
    res = run()
    top, _ = plot_convergence(as_given([res, res.history]), labels=labels)
    assert [t.get_text() for t in top.get_legend().get_texts()] == expected


def test_one_label_for_one_run():
    top, _ = plot_convergence(run(), labels="mine")
    assert [t.get_text() for t in top.get_legend().get_texts()] == ["mine"]


def test_many_runs_can_be_told_apart():
    h = run().history
    top, _ = plot_convergence([h] * 20)
    assert len({(line.get_color(), str(line.get_linestyle()), line._unscaled_dash_pattern)
                for line in curves(top)}) == 20  # fmt: skip


def test_axes_of_the_user():
    res = run()
    figure, axes = plt.subplots(1, 2)
    assert list(plot_convergence(res, axes)) == list(axes)
    assert len(figure.axes) == 2
    figure, ax = plt.subplots()
    (one,) = plot_convergence(res, ax)
    assert one is ax
    solid, dashed = curves(ax)
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert same_bits(dashed.get_ydata(), res.history.projected_gradient)
    draws(figure)


def test_a_run_of_one_iterate():
    top, _ = plot_convergence(run(maxiter=1))
    assert marks_at_zero(top) == [1]
    draws(top.figure)


def test_a_run_of_scipy():
    history = History()
    minimize(rosen, X0, jac=rosen_grad, method="L-BFGS-B", callback=history)
    top, _ = plot_convergence(history)
    assert len(curves(top)[0].get_xdata()) == len(history)
    draws(top.figure)
    with pytest.raises(ValueError, match="x cannot be 'nfev'"):
        plot_convergence(history, x="nfev")


def test_the_style_of_matplotlib_stays():
    before = dict(matplotlib.rcParams)
    plot_convergence(run())
    plot_bounds(run(History(bounds_every=1), bounds=BOX))
    assert dict(matplotlib.rcParams) == before


def test_runs_without_iterates_are_left_out():
    empty = run(maxiter=0).history
    top, _ = plot_convergence({"none": empty, "some": run()})
    assert [t.get_text() for t in top.get_legend().get_texts()] == ["some"]


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (lambda: {"history_or_results": 3}, TypeError, "must be a History or a result; got int"),
        (lambda: {"history_or_results": "run"}, TypeError, "got str"),
        (lambda: {"history_or_results": []}, ValueError, "no iterate"),
        (lambda: {"history_or_results": History()}, ValueError, "no iterate"),
        (lambda: {"history_or_results": run(callback=None)}, ValueError, "callback=callbacks.His"),
        (lambda: {"history_or_results": run(), "x": "day"}, ValueError, "x must be 'nit'"),
        (
            lambda: {"history_or_results": run(), "labels": ["a", "b"]},
            ValueError,
            "labels must be 1, one for each run; got 2",
        ),
        (
            lambda: {"history_or_results": run(), "ax": plt.subplots(3)[1]},
            ValueError,
            "ax must be one or two axes; got 3",
        ),
    ],
    ids=["number", "str", "none", "empty", "no history", "x", "labels", "axes"],
)
def test_bad_arguments_of_plot_convergence(arguments, error, match):
    with pytest.raises(error, match=match):
        plot_convergence(**arguments())
    assert all(not ax.lines for number in plt.get_fignums() for ax in plt.figure(number).axes)


# --- plot_bounds --------------------------------------------------------------------------


BLUE, ORANGE, GREY, WHITE = (0, 114, 178), (230, 159, 0), (119, 119, 119), (255, 255, 255)
COLOURS = {-1: BLUE, 1: ORANGE, 2: GREY, 0: WHITE}


def image_of(ax):
    (image,) = ax.images
    return np.rint(255 * np.asarray(image.get_array())).astype(int)


def history_of(status):
    """A history in which `status`, (iterates, variables), takes the place of what it recorded."""

    class Given(History):
        at_bounds_nit = np.arange(1, len(status) + 1)
        at_bounds = np.array(status, dtype=np.int8)

    return Given(bounds_every=1)


def test_each_variable_has_a_row_and_each_iterate_a_column():
    problem = random_problem(5, 8)
    bounds = problem.bounds.copy()
    bounds[3] = 0.25
    history = History(bounds_every=1)
    minimize_lbfgsb(x0=problem.x0, fun=problem.fun, jac=problem.jac, bounds=bounds,
                    callback=history, **LONG)  # fmt: skip
    counts, which = plot_bounds(history)
    expected = [[COLOURS[s] for s in row] for row in history.at_bounds.T]
    assert image_of(which).tolist() == [[list(c) for c in row] for row in expected]
    assert which.get_ylim() == (7.5, -0.5)
    assert which.get_xlim() == (0.5, len(history) + 0.5)
    assert [t.get_text() for t in which.get_yticklabels()] == [str(i) for i in range(8)]
    for line, value in zip(counts.lines, (-1, 1), strict=True):
        assert line.get_ydata().tolist() == (history.at_bounds == value).sum(axis=1).tolist()
    texts = [t.get_text() for t in counts.get_legend().get_texts()]
    assert texts == ["at the lower bound", "at the upper bound", "fixed: equal bounds"]
    draws(counts.figure)


def test_x_and_the_bounds_give_the_same_picture():
    problem = random_problem(5, 8)
    pictures = []
    for history, bounds in (
        (History(bounds_every=2), None),
        (History(x_every=2), problem.bounds),
        (History(x_every=2), Bounds(problem.lower, problem.upper)),
    ):
        minimize_lbfgsb(x0=problem.x0, fun=problem.fun, jac=problem.jac, bounds=problem.bounds,
                        callback=history, **LONG)  # fmt: skip
        _, which = plot_bounds(history, bounds=bounds)
        pictures.append((image_of(which).tolist(), which.get_xlim()))
    assert pictures[0] == pictures[1] == pictures[2]
    assert ORANGE in {tuple(c) for row in pictures[0][0] for c in row}


def test_a_result_has_a_history_to_draw():
    res = run(History(bounds_every=1), bounds=[(-2, 0.5), (None, None)])
    _, which = plot_bounds(res)
    assert image_of(which)[0, -1].tolist() == list(ORANGE)
    assert image_of(which)[1, -1].tolist() == list(WHITE)


def test_without_bounds_nothing_is_at_a_bound():
    counts, which = plot_bounds(run(History(bounds_every=1)))
    assert (image_of(which) == 255).all()
    assert [t.get_text() for t in counts.get_legend().get_texts()] == ["nothing at a bound"]
    _, which = plot_bounds(run(History(x_every=1)), bounds=[(None, None)] * 2)
    assert (image_of(which) == 255).all()


def test_many_variables_share_cells_and_one_alone_is_seen():
    status = np.zeros((40, 5000), np.int8)
    status[20:, 1000:3000] = -1
    status[5, 4321] = 1
    _, which = plot_bounds(history_of(status))
    image = image_of(which)
    assert image.shape == (500, 40, 3)
    assert (image[100:300, 20:] == BLUE).all()
    assert (image[:100] == 255).all()
    alone = image[432, 5]
    assert alone[2] < 255 - 0.25 * 255  # a quarter of the way from white to orange, at least
    assert (np.delete(image[432], 5, axis=0) == 255).all()
    assert which.get_ylim() == (4999.5, -0.5)
    draws(which.figure)


def test_many_iterates_share_cells():
    status = np.zeros((1700, 3), np.int8)
    status[850:, 1] = 1
    _, which = plot_bounds(history_of(status))
    image = image_of(which)
    assert image.shape == (3, 500, 3)
    assert (image[1, 251:] == ORANGE).all()
    assert (image[1, :250] == 255).all()
    assert which.get_xlim() == (0.5, 1700.5)


def test_variables_are_sorted_where_neighbours_have_nothing_in_common():
    rng = np.random.default_rng(0)
    kind = rng.integers(-1, 2, size=3000)
    scattered = history_of(np.tile(kind, (30, 1)))
    _, which = plot_bounds(scattered)
    image = image_of(which)[:, 0]
    assert which.get_ylabel() == "variables, by their time at bounds"
    cells = [(kind == value).sum() // 6 for value in (1, 0, -1)]
    assert (image[: cells[0]] == ORANGE).all()
    assert (image[cells[0] + 1 : cells[0] + cells[1] - 1] == WHITE).all()
    assert (image[-cells[2] :] == BLUE).all()
    _, which = plot_bounds(scattered, sort=False)
    assert which.get_ylabel() == "variable"
    _, which = plot_bounds(history_of(np.tile(np.sort(kind), (30, 1))))
    assert which.get_ylabel() == "variable"


def test_names_of_variables():
    history = run(History(bounds_every=1), bounds=[(-2, 0.5), (None, None)]).history
    _, which = plot_bounds(history, names=["rate", "delay"])
    assert [t.get_text() for t in which.get_yticklabels()] == ["rate", "delay"]
    _, which = plot_bounds(history, names=["rate", "delay"], sort=True)
    assert [t.get_text() for t in which.get_yticklabels()] == ["rate", "delay"]
    draws(which.figure)
    with pytest.raises(ValueError, match="names must be 2, one for each variable; got 1"):
        plot_bounds(history, names=["rate"])


def test_axes_of_the_user_for_bounds():
    history = run(History(bounds_every=1), bounds=BOX).history
    figure, ax = plt.subplots()
    (one,) = plot_bounds(history, ax)
    assert one is ax
    assert len(ax.images) == 1
    figure, axes = plt.subplots(2)
    assert list(plot_bounds(history, axes)) == list(axes)
    assert len(figure.axes) == 2


def test_one_iterate_of_one_variable():
    _, which = plot_bounds(history_of([[1]]))
    assert image_of(which).tolist() == [[list(ORANGE)]]
    assert which.get_xlim() == (0.5, 1.5)
    draws(which.figure)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        (lambda: {"history": 3}, TypeError, "must be a History or a result; got int"),
        (lambda: {"history": run(callback=None)}, ValueError, "no history"),
        (lambda: {"history": run()}, ValueError, r"record it with History\(bounds_every=1\)"),
        (lambda: {"history": run(), "bounds": BOX}, ValueError, r"History\(x_every=1\)"),
        (
            lambda: {"history": run(History(x_every=1)), "bounds": BOX[:1]},
            ValueError,
            "bounds",
        ),
    ],
    ids=["number", "no history", "no bounds", "no x", "other bounds"],
)
def test_bad_arguments_of_plot_bounds(arguments, error, match):
    with pytest.raises(error, match=match):
        plot_bounds(**arguments())

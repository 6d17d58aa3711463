"""What things say they are: in a terminal, and in a notebook."""

import pickle
import re
import signal
from html.parser import HTMLParser

import numpy as np
import pytest
from problems import X0, rosen_fg
from scipy.optimize import LbfgsInvHessProduct

from lbfgsb import Solver, callbacks, diagnose, minimize_batch, minimize_lbfgsb
from lbfgsb.callbacks import History, Print, StopOnSignal, TimeLimit


def solve(**options):
    return minimize_lbfgsb(**({"x0": X0, "fun": rosen_fg, "jac": True} | options))


# --- in a terminal ------------------------------------------------------------------------


def test_a_solver_says_how_far_it_is():
    solver = Solver(X0)
    assert repr(solver) == "<Solver: n = 2, nit = 0, nfev = 0, f = nan, |proj g| = nan, RUNNING>"
    solver.run(rosen_fg, iterations=3)
    assert repr(solver) == (
        f"<Solver: n = 2, nit = 3, nfev = {solver.nfev}, f = {solver.fun:.6g}, "
        f"|proj g| = {solver.projected_gradient:.3g}, RUNNING>"
    )
    solver.run(rosen_fg)
    assert repr(solver).endswith(f", {solver.message}>")


class Writer:
    def add_scalar(self, tag, value, step):
        pass

    def __repr__(self):
        return "Writer()"


@pytest.mark.parametrize(
    "said",
    [
        "Print()",
        "Print(every=3)",
        "TimeLimit(seconds=10.0)",
        "TargetReached(target=1.0)",
        "TargetReached(target=1.0, monitor='projected_gradient')",
        "EarlyStopping()",
        "EarlyStopping(patience=3, min_delta=0.5)",
        "StopOnSignal()",
        "JSONLines(path='a.jsonl', append=True)",
        "TensorBoard(writer=Writer(), prefix='a/')",
        "ProgressBar()",
        "ProgressBar(interval=0.5, leave=False)",
        "LivePlot(x='nfev')",
    ],
)
def test_a_callback_says_how_it_was_called(said):
    if "LivePlot" in said:
        pytest.importorskip("matplotlib")
    assert repr(eval(said, vars(callbacks) | {"Writer": Writer})) == said


def test_a_callback_names_signals_and_keeps_short():
    assert "SIGTERM" in repr(StopOnSignal([signal.SIGTERM]))
    assert "SIGINT" not in repr(StopOnSignal([signal.SIGTERM]))
    assert len(repr(Print(file=[0] * 900))) < 120


def test_a_callback_of_ones_own_without_such_attributes_has_a_repr_too():
    class Mine(TimeLimit):
        def __init__(self, hours):
            super().__init__(3600 * hours)

    assert repr(Mine(2)) == "Mine()"


def test_a_result_lists_its_history():
    history = History()
    res = solve(callback=history)
    lines = repr(res).splitlines()
    assert lines[-1].strip() == f"history: {history!r}"
    assert len({line.index(":") for line in lines}) == 1  # in one column
    assert "history" not in res
    assert "history" not in repr(solve())


@pytest.mark.parametrize("look", [lambda H: None, lambda H: H.sk], ids=["waiting", "made"])
def test_hess_inv_prints_under_scipys_name(look):
    res = solve()
    look(res.hess_inv)
    expected = repr(LbfgsInvHessProduct(np.ones((1, 2)), np.ones((1, 2))))
    states = []
    solve(callback=[lambda *, intermediate_result: states.append(intermediate_result)], maxiter=1)
    for one in (res, states[0], pickle.loads(pickle.dumps(res))):
        assert repr(one.hess_inv) == expected
        assert expected in repr(one)


# --- in a notebook ------------------------------------------------------------------------


class Cells(HTMLParser):
    """The rows of the tables in a text, each a list of its cells; fails on tags that don't nest."""

    def __init__(self, text):
        super().__init__()
        self.rows, self._open = [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open[-1] in ("th", "td"):
            self.rows[-1][-1] += data


def test_a_result_is_a_table_of_names_and_values():
    res = solve(callback=History())
    rows = dict(Cells(res._repr_html_()).rows)
    assert list(rows) == [*res, "history"]
    assert rows["message"] == res.message
    assert rows["nit"] == str(res.nit)
    assert float(rows["fun"]) == pytest.approx(res.fun, rel=1e-5)
    assert rows["history"] == repr(res.history)  # whose < and > are not taken for tags


def test_a_large_result_is_a_small_table():
    n = 3000
    res = minimize_lbfgsb(x0=np.ones(n), fun=lambda x: (x @ x, 2 * x), jac=True)
    html = res._repr_html_()
    assert len(html) < 3000
    assert "(3000,)" in dict(Cells(html).rows)["x"]


@pytest.mark.parametrize("length", [0, 1, 10, 11, 30])
def test_a_history_is_a_table_of_its_first_and_last_rows(length):
    history = History()
    if length:
        solve(callback=history, maxiter=length, ftol=0)
    head, *rows = Cells(history._repr_html_()).rows
    assert head[:4] == ["nit", "nfev", "njev", "fun"]
    shown = list(range(length)) if length <= 10 else [*range(5), None, *range(length - 5, length)]
    assert [None if row == ["⋮"] else int(row[0]) - 1 for row in rows] == shown
    assert all(len(row) == len(head) for row in rows if row != ["⋮"])


def test_a_diagnosis_is_a_table_of_findings():
    found = diagnose(solve(maxiter=3))
    html = found._repr_html_()
    head, *rows = Cells(html).rows
    assert head == ["", "found", "try"]
    assert rows == [[f.severity, f.text, f.advice] for f in found]
    assert found.headline.split(":")[0] in re.sub(r"&\w+;", "?", html)


def test_a_batch_prints_as_in_a_terminal():
    res = minimize_batch(
        lambda X: ((X * X).sum(axis=1), 2 * X), np.ones((3, 2)), callback=History()
    )
    html = res._repr_html_()
    assert html.startswith("<pre>")
    assert "&lt;History" in html

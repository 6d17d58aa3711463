"""Pictures of runs: how they converged, and which variables were at their bounds.

Both functions draw what a `lbfgsb.callbacks.History` has recorded, with a style of their own that
leaves matplotlib's settings alone, in colours that colour-blind readers can tell apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult

from lbfgsb._bounds import as_bounds
from lbfgsb._core.objective import quote
from lbfgsb._history import History
from lbfgsb._types import Vector

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_bounds", "plot_convergence"]

# Okabe and Ito's colours, the darker ones first; then the same with other dashes.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
_STYLE = {
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
}
_X_LABELS = {
    "nit": "iteration",
    "nfev": "evaluations of $f$",
    "time": "wall time in s",
}
_LOWER, _UPPER, _FIXED = np.array([[0, 114, 178], [230, 159, 0], [119, 119, 119]]) / 255
# A picture has so many pixels: more rows or columns are put together, this many at most remain.
_MOST_CELLS = 500
# So many variables can be named, one by one.
_MOST_NAMES = 30


def _pyplot() -> Any:
    """Return matplotlib.pyplot, or raise ImportError that says what to install."""
    try:
        import matplotlib.pyplot
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'lbfgsb[plot]'") from error
    return matplotlib.pyplot


# --- convergence --------------------------------------------------------------------------


def plot_convergence(
    history_or_results: Any,
    ax: Axes | Sequence[Axes] | None = None,
    labels: Sequence[str] | None = None,
    x: str = "nit",
    *,
    f_best: float | None = None,
) -> NDArray[np.object_]:
    r"""Draw f − f_best and the projected gradient of one or several runs, on logarithmic axes.

    Parameters
    ----------
    history_or_results : History, OptimizeResult, or iterable or mapping of these
        The runs. A result must be of a run that had a `lbfgsb.callbacks.History` among its
        callbacks. The keys of a mapping are the labels.
    ax : matplotlib.axes.Axes or a pair of these, optional
        Where to draw. In a pair, f − f_best comes in the first and the projected gradient in the
        second; in a single one, both, the projected gradient dashed. By default a new figure is
        made, with the two one above the other.
    labels : sequence of str, optional
        The names of the runs.
    x : {'nit', 'nfev', 'time'}, default 'nit'
        The horizontal axis: iterations, evaluations of f, or seconds.
    f_best : float, optional
        The minimum, if it is known. By default the least f in all these runs.

    Returns
    -------
    ndarray of Axes
        The axes that were drawn in; ``axes[0].figure`` is the figure.

    Raises
    ------
    TypeError, ValueError
        For what is no run, or has no history; for no iterate at all; for too few labels.
    ImportError
        If matplotlib is not installed (``pip install 'lbfgsb[plot]'``).

    Notes
    -----
    A logarithmic axis has no 0. Where f is f_best, or the projected gradient is exactly 0, an arrow
    goes down to the edge of the picture.

    Examples
    --------
    >>> from lbfgsb import minimize_lbfgsb, plot_convergence
    >>> from lbfgsb.callbacks import History
    >>> from lbfgsb.benchmarks import rosenbrock, rosenbrock_grad
    >>> runs = {}
    >>> for m in (3, 10):
    ...     runs[f"maxcor = {m}"] = History()
    ...     res = minimize_lbfgsb(x0=[-1.2, 1.0], fun=rosenbrock, jac=rosenbrock_grad, ftol=0,
    ...                           maxcor=m, callback=runs[f"maxcor = {m}"])
    >>> axes = plot_convergence(runs, f_best=0.0)            # doctest: +SKIP
    """
    _check_x(x)
    histories, names = _as_runs(history_or_results, labels, x)
    if f_best is None:
        f_best = min(np.nanmin(h.fun) for h in histories)
    plt = _pyplot()
    with plt.rc_context(_STYLE):
        axes = _as_axes(plt, ax)
        for k, (history, name) in enumerate(zip(histories, names, strict=True)):
            _draw_run(axes, k, history, name, x, f_best)
        _dress(axes, x, named=any(names))
    return axes


def _check_x(x: str) -> None:
    """Raise ValueError if `x` names no horizontal axis."""
    if x not in _X_LABELS:
        raise ValueError(f"x must be 'nit', 'nfev' or 'time'; got {quote(x)}")


def _as_runs(
    runs: Any, labels: Sequence[str] | None, x: str
) -> tuple[list[History], list[str | None]]:
    """Return histories and their names."""
    if isinstance(runs, (History, OptimizeResult)):
        runs = [runs]
        names: list[str | None] = [None]
    elif isinstance(runs, Mapping):
        names = [str(key) for key in runs]
        runs = list(runs.values())
    elif isinstance(runs, Iterable) and not isinstance(runs, (str, bytes)):
        runs = list(runs)
        names = [f"run {k + 1}" for k in range(len(runs))]
    else:
        runs, names = [runs], [None]
    histories = [_as_history(run) for run in runs]
    if labels is not None:
        names = [str(label) for label in ([labels] if isinstance(labels, str) else labels)]
        if len(names) != len(histories):
            raise ValueError(f"labels must be {len(histories)}, one for each run; got {len(names)}")
    if not histories or all(len(h) == 0 for h in histories):
        raise ValueError("there is no iterate to draw")
    if x == "nfev" and any((h.nfev < 0).any() for h in histories):
        raise ValueError("x cannot be 'nfev': the solver of one of the runs did not tell it")
    kept = [k for k, h in enumerate(histories) if len(h) > 0]
    return [histories[k] for k in kept], [names[k] for k in kept]


def _as_history(run: Any) -> History:
    if isinstance(run, History):
        return run
    if not isinstance(run, OptimizeResult):
        raise TypeError(f"a run must be a History or a result; got {type(run).__name__}")
    history = getattr(run, "history", None)
    if not isinstance(history, History):
        raise ValueError(
            "this result has no history: give minimize_lbfgsb callback=callbacks.History()"
        )
    return history


def _as_axes(plt: Any, ax: Axes | Sequence[Axes] | None) -> NDArray[np.object_]:
    if ax is None:
        shape = {"figsize": (6.4, 5.2), "layout": "constrained"}
        axes: NDArray[np.object_] = plt.subplots(2, 1, sharex=True, **shape)[1]
        return axes
    axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(axes) not in (1, 2):
        raise ValueError(f"ax must be one or two axes; got {len(axes)}")
    return axes


def _draw_run(
    axes: NDArray[np.object_], k: int, history: History, name: str | None, x: str, f_best: float
) -> None:
    """Draw the run number k."""
    at = np.asarray(getattr(history, x), dtype=float)
    colour = _COLOURS[k % len(_COLOURS)]
    dash: Any = _DASHES[k // len(_COLOURS) % len(_DASHES)]
    _draw_log(axes[0], at, history.fun - f_best, colour, dash, name)
    _draw_log(axes[-1], at, history.projected_gradient, colour, dash if len(axes) == 2 else "--")


def _draw_log(
    ax: Axes, at: Vector, y: Vector, colour: str, dash: Any, name: str | None = None
) -> None:
    """Draw y ≥ 0 on a logarithmic axis: a line where y > 0, an arrow down where it becomes 0."""
    positive = y > 0
    before, after = np.append(False, positive[:-1]), np.append(positive[1:], False)
    ax.plot(at, np.where(positive, y, np.nan), color=colour, linestyle=dash, label=name or "_run")
    single = positive & ~before & ~after  # a line has no single point
    ax.plot(at[single], y[single], "o", color=colour, markersize=3)
    if positive[-1]:
        ax.plot(at[-1], y[-1], "o", color=colour, markersize=4.5)
    for i in np.flatnonzero((y <= 0) & ~np.append(False, y[:-1] <= 0)):
        _mark_zero(ax, at[i], (at[i - 1], y[i - 1]) if before[i] else None, colour)


def _mark_zero(ax: Axes, at: float, start: tuple[float, float] | None, colour: str) -> None:
    """Draw an arrow from the point `start`, or its head alone, down to the edge of the picture."""
    if start is not None:
        ax.annotate(
            "",
            xy=(at, 0),
            xycoords=("data", "axes fraction"),
            xytext=start,
            textcoords="data",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1.4,
                "linestyle": (0, (1, 1.2)),
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
    edge = ax.get_xaxis_transform()
    ax.plot(at, 0, "v", color=colour, markersize=6, clip_on=False, transform=edge, zorder=4)


def _dress(axes: NDArray[np.object_], x: str, named: bool) -> None:
    """Scales, labels, grid and legend."""
    for ax in axes:
        ax.set_yscale("log")
        if not np.isfinite(ax.dataLim.minposy):  # nothing has a place on a logarithmic axis
            ax.set(ylim=(0.1, 1), yticks=[])
        ax.grid(True, which="major", color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)
    axes[-1].set_xlabel(_X_LABELS[x])
    if x != "time":
        axes[-1].xaxis.set_major_locator(_whole_numbers())
    if len(axes) == 2:
        axes[0].set_ylabel(r"$f - f_{\mathrm{best}}$")
        axes[1].set_ylabel("projected gradient (max norm)")
    else:
        axes[0].set_ylabel(r"$f - f_{\mathrm{best}}$ (line), projected gradient (dashed)")
    if named:
        axes[0].legend()


def _whole_numbers(intervals: Any = "auto") -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(intervals, integer=True, steps=[1, 2, 5, 10])


class _LiveFigure:
    """A figure of one run that is drawn again and again.

    In a window its canvas is redrawn; in a notebook with the inline backend, the output of the
    cell is replaced; without a display, the figure is drawn in memory.

    Parameters
    ----------
    x : {'nit', 'nfev', 'time'}
        The horizontal axis.
    """

    def __init__(self, x: str) -> None:
        self._plt = _pyplot()
        self._x = x
        with self._plt.rc_context(_STYLE):
            figure, axes = self._plt.subplots(
                2, 1, sharex=True, figsize=(6.4, 5.2), layout="constrained"
            )
        self.figure: Any = figure
        self._axes = axes
        self._display: Any = None
        self._inline = "inline" in self._plt.get_backend()
        if self.figure.canvas.required_interactive_framework is not None:
            self.figure.show()  # a window

    def draw(self, history: History) -> None:
        """Draw the run as it stands."""
        for ax in self._axes:
            ax.clear()
        with self._plt.rc_context(_STYLE):
            plot_convergence(history, self._axes, x=self._x)
        self._axes[0].tick_params(labelbottom=False)
        if self._inline:
            self._replace_output()
        else:
            self.figure.canvas.draw()
            self.figure.canvas.flush_events()

    def finish(self) -> None:
        """No more will be drawn: the inline backend must not show the figure once more."""
        if self._inline:
            self._plt.close(self.figure)

    def _replace_output(self) -> None:
        from IPython.display import display

        if self._display is None:
            self._display = display(self.figure, display_id=True)
        else:
            self._display.update(self.figure)


# --- bounds -------------------------------------------------------------------------------


def plot_bounds(
    history: Any,
    ax: Axes | Sequence[Axes] | None = None,
    *,
    bounds: Any = None,
    sort: bool | None = None,
    names: Sequence[str] | None = None,
) -> NDArray[np.object_]:
    """Draw which variables are at their bounds, iterate by iterate.

    Parameters
    ----------
    history : History or OptimizeResult
        Recorded with `bounds_every`, or with `x_every` if `bounds` is given. A result must be of
        a run that had such a history among its callbacks.
    ax : matplotlib.axes.Axes or a pair of these, optional
        Where to draw. In a pair, the first shows how many variables are at a bound and the second
        which; a single one shows which. By default a new figure is made, with both.
    bounds : scipy.optimize.Bounds, sequence of (min, max), or ndarray of shape (n, 2), optional
        The bounds of the run, for a history that has x alone.
    sort : bool, optional
        Order the variables by how long they are at the upper and at the lower bound, or by their
        index. By default by their index, unless there are so many variables that neighbours share
        a cell of the picture, and neighbours have little in common.
    names : sequence of str, optional
        The names of the variables; shown for up to 30 of them.

    Returns
    -------
    ndarray of Axes
        The axes that were drawn in.

    Raises
    ------
    TypeError, ValueError
        For what is no history, or has not recorded the bounds.
    ImportError
        If matplotlib is not installed (``pip install 'lbfgsb[plot]'``).

    Notes
    -----
    Where there are more variables, or more iterates, than the picture has room for, neighbours
    share a cell: its colour is the paler, the fewer of them are at a bound, but it is never so pale
    that one alone would be lost.

    Examples
    --------
    >>> from lbfgsb import minimize_lbfgsb, plot_bounds
    >>> from lbfgsb.callbacks import History
    >>> history = History(bounds_every=1)
    >>> res = minimize_lbfgsb(x0=[3.0, -1.0], fun=lambda x: (x @ x, 2 * x), jac=True,
    ...                       bounds=[(1, None), (None, None)], callback=history)
    >>> history.at_bounds.tolist()
    [[0, 0], [-1, 0]]
    >>> axes = plot_bounds(history)                          # doctest: +SKIP
    """
    nit, status = _statuses(_as_history(history), bounds)
    n = status.shape[1]
    is_sorted = n > _MOST_CELLS and not _neighbours_agree(status) if sort is None else sort
    order = _by_time_at_bounds(status) if is_sorted else np.arange(n)
    if names is not None and len(names) != n:
        raise ValueError(f"names must be {n}, one for each variable; got {len(names)}")
    plt = _pyplot()
    with plt.rc_context(_STYLE):
        if ax is None:
            axes: NDArray[np.object_] = plt.subplots(
                2,
                1,
                sharex=True,
                layout="constrained",
                height_ratios=[1, 3],
                figsize=(6.4, 3.4 if n <= 8 else 5.2),
            )[1]
        else:
            axes = _as_axes(plt, ax)
        _draw_map(axes[-1], nit, status[:, order])
        _name_variables(axes[-1], order, names, is_sorted)
        if len(axes) == 2:
            _draw_counts(axes[0], nit, status)
        _add_legend(axes[0], status)
    return axes


def _statuses(history: History, bounds: Any) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Return the numbers of the iterates and the status of each variable at them."""
    if len(history.at_bounds_nit) > 0:
        return history.at_bounds_nit, history.at_bounds
    if bounds is None:
        raise ValueError(
            "this history has no bounds: record it with History(bounds_every=1), or with "
            "History(x_every=1) and give the bounds"
        )
    x = history.x
    if len(x) == 0:
        raise ValueError("this history has no x: record it with History(x_every=1)")
    lower, upper = as_bounds(bounds, x.shape[1])
    if lower is None or upper is None:
        return history.x_nit, np.zeros(x.shape, np.int8)
    low, high = x == lower, x == upper
    status = high.astype(np.int8) - low.astype(np.int8)
    status[low & high] = 2
    return history.x_nit, status


def _neighbours_agree(status: NDArray[np.int8]) -> bool:
    """Are neighbours alike in more than half of the cases that chance does not explain?"""
    by_chance = sum(np.mean(status == value) ** 2 for value in (-1, 0, 1, 2))
    alike = np.mean(status[:, 1:] == status[:, :-1])
    return bool(alike - by_chance >= 0.5 * (1 - by_chance))


def _by_time_at_bounds(status: NDArray[np.int8]) -> NDArray[np.int64]:
    """Return the variables from those always at the upper bound to those always at the lower."""
    balance = (status == 1).sum(axis=0) - (status == -1).sum(axis=0)
    return np.argsort(-balance, kind="stable")


def _draw_map(ax: Axes, nit: NDArray[np.int64], status: NDArray[np.int8]) -> None:
    n = status.shape[1]
    step = (nit[-1] - nit[0]) / max(len(nit) - 1, 1) or 1
    image = np.ones((min(n, _MOST_CELLS), min(len(nit), _MOST_CELLS), 3))
    for value, colour in ((-1, _LOWER), (1, _UPPER), (2, _FIXED)):
        image -= _shares(status == value)[..., None] * (1 - colour)
    ax.imshow(
        np.clip(image, 0, 1),
        aspect="auto",
        interpolation="nearest",
        extent=(nit[0] - step / 2, nit[-1] + step / 2, n - 0.5, -0.5),
    )
    if n <= _MOST_NAMES:
        for edge in np.arange(0.5, n - 1):
            ax.axhline(edge, color="white", linewidth=1.5)
    ax.set_xlabel(_X_LABELS["nit"])
    ax.spines[["top", "right"]].set_visible(True)


def _shares(at: ArrayLike) -> Vector:
    """Return how dark each cell is: 0 where nothing in it is at the bound, 1 where all is.

    `at` is (iterates, variables), the result (cells, cells) with the variables first.
    """
    share = np.asarray(at, dtype=float).T
    for axis in (0, 1):
        size = share.shape[axis]
        cells = min(size, _MOST_CELLS)
        edges = np.arange(cells) * size // cells
        share = np.add.reduceat(share, edges, axis=axis)
        width = np.diff(np.append(edges, size))
        share /= width[:, None] if axis == 0 else width
    return np.where(share > 0, 0.25 + 0.75 * share, 0.0)


def _name_variables(
    ax: Axes, order: NDArray[np.int64], names: Sequence[str] | None, sort: bool
) -> None:
    n = len(order)
    if n <= _MOST_NAMES:
        shown = [str(i) if names is None else str(names[i]) for i in order]
        ax.set_yticks(np.arange(n), shown)
        ax.tick_params(axis="y", length=0)
    else:
        ax.yaxis.set_major_locator(_whole_numbers())
    ax.xaxis.set_major_locator(_whole_numbers())
    if n > _MOST_NAMES:
        ax.set_ylabel("variables, by their time at bounds" if sort else "variable")
    elif names is None:
        ax.set_ylabel("variable")


def _draw_counts(ax: Axes, nit: NDArray[np.int64], status: NDArray[np.int8]) -> None:
    # The dashes leave one curve visible under the other.
    for value, colour, dash in ((-1, _LOWER, "-"), (1, _UPPER, (0, (3, 2)))):
        count = (status == value).sum(axis=1)
        if count.any():
            ax.step(nit, count, where="mid", color=colour, linestyle=dash, zorder=3)
    ax.set_ylabel("how many")
    ax.set_ylim(bottom=0)
    ax.yaxis.set_major_locator(_whole_numbers(4))
    ax.grid(True, color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)


def _add_legend(ax: Axes, status: NDArray[np.int8]) -> None:
    from matplotlib.patches import Patch

    kinds = (
        (-1, _LOWER, "at the lower bound"),
        (1, _UPPER, "at the upper bound"),
        (2, _FIXED, "fixed: equal bounds"),
    )
    handles = [Patch(color=c, label=name) for v, c, name in kinds if (status == v).any()]
    if not handles:
        handles = [Patch(facecolor="white", edgecolor="black", label="nothing at a bound")]
    ax.legend(
        handles=handles,
        ncols=len(handles),
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.3,
        borderpad=0,
        handlelength=1.2,
    )

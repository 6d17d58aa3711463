"""What `plot_convergence` draws: runs that keep 1, 3, 10 and 30 pairs."""

from membrane import membrane

from lbfgsb import plot_convergence
from lbfgsb.callbacks import History

runs = {}
for pairs in (1, 3, 10, 30):
    runs[f"maxcor = {pairs}"] = history = History()
    membrane(400, history, maxcor=pairs)
plot_convergence(runs)

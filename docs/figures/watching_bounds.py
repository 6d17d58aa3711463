"""What `plot_bounds` draws for a thousand variables."""

from membrane import membrane

from lbfgsb import plot_bounds
from lbfgsb.callbacks import History

history = History(bounds_every=1)
membrane(1000, history)
plot_bounds(history)

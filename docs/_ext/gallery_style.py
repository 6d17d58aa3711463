"""The look of the gallery's pictures, which the scripts themselves leave alone."""

import matplotlib as mpl
from matplotlib import pyplot as plt

# Okabe and Ito's colours, in the order of lbfgsb.plotting.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def reset(gallery_conf, fname):
    """Set matplotlib as each script shall find it; a hook of sphinx-gallery."""
    plt.close("all")
    mpl.rcdefaults()
    mpl.use("agg")
    mpl.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 150,
            "font.size": 10,
            "axes.titlesize": 10,
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": mpl.cycler(color=COLOURS),
            "legend.frameon": False,
            "legend.fontsize": 9,
            "lines.linewidth": 1.6,
        }
    )


class TeachingOrder:
    """The order of the examples: what most people need comes first; a key of sphinx-gallery."""

    NAMES = (
        "spectrum",
        "lifetimes",
        "gaussian_process",
        "deblurring",
        "obstacle",
        "minimal_surface",
        "heat_sink",
        "inverse_heat",
        "acquisition",
        "resume",
        "wrong_gradient",
    )

    def __init__(self, src_dir):
        pass

    def __call__(self, filename):
        return self.NAMES.index(filename.removeprefix("plot_").removesuffix(".py"))

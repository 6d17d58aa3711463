"""Sphinx settings. The API pages come from the installed package: ``pip install '.[docs]'``."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "lbfgsb"
author = "The lbfgsb developers"
project_copyright = author
release = metadata.version("lbfgsb")
version = release

extensions = [
    "mathml",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx.ext.autodoc",
]
exclude_patterns = ["_build"]
default_role = "py:obj"
# Docstrings list their references without citing each of them in the text.
suppress_warnings = ["ref.citation"]

autodoc_typehints = "none"
numpydoc_show_class_members = False

plot_formats = ["svg"]
plot_include_source = False
plot_html_show_source_link = False
plot_html_show_formats = False
plot_rcparams = {
    "figure.dpi": 100,
    "font.size": 10,
    "svg.fonttype": "path",
    "svg.hashsalt": "lbfgsb",
}
plot_apply_rcparams = True

html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_title = f"lbfgsb {release}"
html_static_path = ["_static"]
html_css_files = ["lbfgsb.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "lbfgsb"},
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
}
_GUIDES = (
    "getting_started",
    "scipy",
    "watching",
    "diagnosing",
    "embedding",
    "batch",
    "how_it_works",
)
html_sidebars = {page: [] for page in ("index", *_GUIDES)}

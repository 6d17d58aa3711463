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
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "source_links",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery"]
default_role = "py:obj"
# Docstrings list their references without citing each of them in the text.
suppress_warnings = ["ref.citation"]

autodoc_typehints = "none"
numpydoc_show_class_members = False

# Names of others link to their pages. The lists of names are our own, so that no network is needed.
intersphinx_mapping = {
    project: (f"https://{host}/", f"_inventories/{project}.txt")
    for project, host in {
        "matplotlib": "matplotlib.org/stable",
        "numpy": "numpy.org/doc/stable",
        "python": "docs.python.org/3",
        "scipy": "docs.scipy.org/doc/scipy",
    }.items()
}

# CONTRIBUTING.md links to its own headings.
myst_heading_anchors = 3

# A copied example has no prompts and no output.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "within_subsection_order": "gallery_style.TeachingOrder",
    "reset_modules": ("gallery_style.reset",),
    "image_srcset": ["2x"],
    "thumbnail_size": (480, 320),
    "abort_on_example_error": True,
    "doc_module": ("lbfgsb",),
    "backreferences_dir": "auto_gallery/backreferences",
    "reference_url": {"lbfgsb": None},
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 3600,  # a page should not change with the load of the machine
}

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
html_favicon = "_static/favicon.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": f"lbfgsb {release}"},
    "header_links_before_dropdown": 6,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
}
html_sidebars = {"index": [], "getting_started": [], "performance": []}

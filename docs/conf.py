"""Settings of the documentation: Sphinx with MyST and numpydoc, built without a network."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]

import segkit  # noqa: E402

project = "segkit"
author = "The segkit developers"
version = release = segkit.__version__
copyright = author  # noqa: A001 - the name that Sphinx reads

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "house",
    "studies",
]
exclude_patterns = ["_build"]
nitpicky = True
default_role = "py:obj"  # `segkit.segment` in a docstring becomes a link (docs/_ext/house.py)

# MyST: pages are Markdown; their cells run in a kernel each time that the site is built.
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_merge_streams = True
nb_execution_show_tb = True

# numpydoc: one page a name, made from the packages' `__all__` (docs/_ext/house.py).
autosummary_generate = False  # the pages are written by docs/_ext/house.py
autodoc_typehints = "none"  # types stand in the parameters' descriptions, in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_use_plots = False
numpydoc_xref_param_type = True

html_theme = "pydata_sphinx_theme"
html_title = "segkit"
html_static_path = ["_static"]
html_css_files = ["segkit.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": [],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 1,
    "navigation_depth": 3,
    "show_prev_next": False,
}
html_sidebars = {
    page: []
    for page in ("index", "tutorial", "methods", "architecture", "glossary", "contributing")
}

"""The documentation site and the man page: `nox -s docs` builds both into build/docs."""

from __future__ import annotations

import darkfuse

project = "darkfuse"
author = copyright = "The darkfuse developers"
version = release = darkfuse.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinxarg.ext"]
myst_heading_anchors = 3
exclude_patterns = ["images/README.md"]
suppress_warnings = ["myst.header"]  # a page may be a part of another's text

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "description"
autodoc_class_signature = "separated"

html_theme = "furo"
html_title = "darkfuse"
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}

man_pages = [("commands", "darkfuse", "run Darknet models in little memory", [author], 1)]
man_show_urls = False

"""Sphinx's settings: pages in Markdown, the reference from the docstrings. `./dev docs` builds it, offline."""

import importlib.metadata
import types

from sphinx.application import Sphinx

project = "lightrunner"
author = "The lightrunner authors"
copyright = author  # noqa: A001 - Sphinx's name
release = importlib.metadata.version("lightrunner")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "lightrunner"

default_role = "py:obj"  # `Name` in a docstring is a link where the reference has it
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "undoc-members": False}
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def skip_fields(_app: object, _what: str, _name: str, member: object, _skip: bool, _options: object) -> bool | None:  # noqa: FBT001 - Sphinx's signature
    """Leave out a struct's slots: its docstring's "Attributes" describe them."""
    return True if isinstance(member, types.MemberDescriptorType) else None


def setup(app: Sphinx) -> None:
    """Register the hooks."""
    app.connect("autodoc-skip-member", skip_fields)

"""The site made of the Markdown pages and of the docstrings: ``make docs``.

The source folder is the repository's root, so that README.md and the like are pages too and their
links are checked. A reference to a name that is not there fails the build.
"""

import importlib
from typing import Any, TypeVar

from sphinx.ext.autodoc.mock import mock
from sphinx.util.nodes import make_refnode

project = "fsim"
author = "the fsim authors"
extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "examples/*.md", "fsim/**.md"]
exclude_patterns = [".*", "*.egg-info", "build", "notebooks", "runs", "scenarios", "tests", "traces"]  # fmt: skip  # noqa: E501
html_theme = "alabaster"
html_theme_options = {"page_width": "75em", "fixed_sidebar": True}
myst_heading_anchors = 4

apidoc_modules = [{"path": "../fsim", "destination": "docs/api", "module_first": True}]
autodoc_mock_imports = ["flwr"]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
# A name has one page: that of the module which defines it.
autodoc_default_options = {"members": True, "ignore-module-all": True, "show-inheritance": True}
napoleon_google_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True

# Other packages' pages are not at hand where this is built. Nothing of fsim's own is listed here.
_STANDARD = r"(abc|annotationlib|argparse|collections|decimal|enum|fractions|os|pathlib|types|typing)"  # noqa: E501
_PACKAGES = r"(annotated_types|flwr|matplotlib|numpy|pandas|peft|plotly|pydantic|simpy|tokenizers|torch|transformers)"  # noqa: E501
nitpick_ignore_regex = [("py:.*", rf"({_STANDARD}|{_PACKAGES})\..+")]


def _evaluate(name: str, module: str) -> Any:
    """The object that a dotted name means in a module, or else everywhere.

    Raises
    ------
    LookupError
        There is none.
    """
    found, path = importlib.import_module(module), ""
    for part in name.split("."):
        path = f"{path}.{part}".removeprefix(".")
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(path)
            except (ImportError, ValueError):
                raise LookupError(name) from None
    return found


def _means(name: str, meant: Any) -> bool:
    try:
        with mock(autodoc_mock_imports):
            return _evaluate(name, project) is meant
    except LookupError:
        return False


def _resolve(app, env, node, content):
    """Let a role name things as its module does: by an import, or where a package exports them.

    A name of another package that the module knows, and a type variable, need no page.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    with mock(autodoc_mock_imports):
        try:
            meant = _evaluate(target, node.get("py:module") or project)
        except LookupError:
            return None
    if isinstance(meant, TypeVar):
        return content
    last = target.rpartition(".")[2]
    for name, entry in env.get_domain("py").objects.items():
        if name.rpartition(".")[2] == last and _means(name, meant):
            return make_refnode(
                app.builder, node["refdoc"], entry.docname, entry.node_id, content, name
            )
    if getattr(meant, "__module__", project).partition(".")[0] != project:
        return content
    return None


def _public_bases(_app, _name, _obj, _options, bases):
    """Show, in place of a private base class, that class's own bases."""
    while private := [base for base in bases if getattr(base, "__name__", "").startswith("_")]:
        at = bases.index(private[0])
        bases[at : at + 1] = [base for base in private[0].__bases__ if base not in bases]


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-bases", _public_bases)
    app.connect("missing-reference", _resolve)

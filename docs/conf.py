"""The site made of the Markdown pages and of the docstrings: ``make docs``.

The source folder is the repository's root, so that README.md and the like are pages too and their
links are checked. A reference to a name that is not there fails the build.
"""

import importlib
import os
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

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
# Its pages of packages take their options from here alone. Fields are shown as Attributes has them.
os.environ["SPHINX_APIDOC_OPTIONS"] = "members,show-inheritance"
autodoc_mock_imports = ["flwr"]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
# A name has one page: that of the module which defines it.
autodoc_default_options = {"members": True, "ignore-module-all": True}
napoleon_google_docstring = False
python_use_unqualified_type_names = True

# Other packages' pages are not at hand where this is built. Nothing of fsim's own is listed here.
_PACKAGES = (
    *("abc", "annotated_types", "annotationlib", "argparse", "babel", "collections", "decimal"),
    *("enum", "flwr", "fractions", "matplotlib", "numpy", "os", "pandas", "pathlib", "peft"),
    *("pickle", "plotly", "pydantic", "simpy", "tokenize", "tokenizers", "torch", "transformers"),
    *("types", "typing"),
)
_SHORT = (
    *(
        "np.random.Generator",
        "pd.DataFrame",
        "FieldInfo",
        "Figure",
        "Gt",
        "Le",
        "Locale",
        "NoneType",
    ),
    *("PreTrainedModel", "PreTrainedTokenizerBase"),
)
nitpick_ignore_regex = [("py:.*", rf"({'|'.join(_PACKAGES)})(\..+)?|{'|'.join(_SHORT)}")]


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
    """Let a role name things as its class and module do, or a package that exports them.

    A name of another package that the module knows, a type variable and a private name have no
    page.
    """
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"]
    if set(target) & set("[<>="):  # a piece of a type that Sphinx could not take apart
        return content
    module, kind = node.get("py:module") or project, node.get("py:class")
    for name in (f"{kind}.{target}", target) if kind else (target,):
        with mock(autodoc_mock_imports), suppress(LookupError):
            meant = _evaluate(name, module)
            break
    else:
        return None
    if isinstance(meant, TypeVar) or target.rpartition(".")[2].startswith("_"):
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


def _skip(_app, _what, _name, obj, _skip_it, _options):
    """Leave out the fields of a named tuple, which its own docstring tells."""
    return True if isinstance(obj, type(_OneField.field)) else None


class _OneField(NamedTuple):
    field: int


def _public_bases(_app, _name, _obj, _options, bases):
    """Show, in place of a private base class, that class's own bases."""
    while private := [base for base in bases if getattr(base, "__name__", "").startswith("_")]:
        at = bases.index(private[0])
        bases[at : at + 1] = [base for base in private[0].__bases__ if base not in bases]


_IN_LINE = {"attribute", "data", "property"}
_lines: dict[str, list[str]] = {}


def _before_napoleon(_app, what, name, _obj, _options, lines):
    """Keep what stands below a constant: of ``Bytes: a packet``, napoleon would make a type."""
    if what in _IN_LINE:
        _lines[name] = list(lines)


def _after_napoleon(_app, what, name, _obj, _options, lines):
    if what in _IN_LINE:
        lines[:] = _lines.pop(name)


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=400)
    app.connect("autodoc-process-docstring", _after_napoleon, priority=600)
    app.connect("autodoc-process-bases", _public_bases)
    app.connect("missing-reference", _resolve)

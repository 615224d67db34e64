"""Installed packages that add to fsim: entry points of the group ``fsim.plugins``.

Each names a module, which registers as it is imported, or a function, which is called to register.
They are looked for once, when a registry is first asked for what it does not have at hand, so that
to import fsim imports no other package.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from types import FunctionType

from fsim.core.errors import FsimError, shown

GROUP = "fsim.plugins"


class PluginError(FsimError):
    """An installed package that is meant to add to fsim, and cannot be loaded."""


class _State:
    """The state of loading: whether it is complete, and the package that is loading now."""

    loaded = False
    package: str | None = None


def load() -> None:
    """Load all of them, the first time that this is called.

    Raises
    ------
    PluginError
        One cannot be loaded, naming its package. Called again, it is tried again.
    """
    # A package that asks a registry while it is loaded sees what there is by then.
    if _State.loaded or _State.package is not None:
        return
    for entry in sorted(entry_points(group=GROUP), key=lambda each: (each.name, each.value)):
        _load(entry)
    _State.loaded = True


def loading() -> str | None:
    """The package that is being loaded; None if none is."""
    return _State.package


def _load(entry: EntryPoint) -> None:
    package = "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
    _State.package = package
    try:
        plugin = entry.load()
        if isinstance(plugin, FunctionType):
            plugin()
    # Whatever somebody else's package does wrong as it is imported.
    except Exception as error:
        raise PluginError(
            f"package {package}: its entry point {entry.name} = {shown(entry.value)} of {GROUP} "
            f"cannot be loaded: {type(error).__name__}: {error}; mend or uninstall the package"
        ) from error
    finally:
        _State.package = None

"""The engines by name."""

from __future__ import annotations

import os
import sys

from fsim.core.errors import ScenarioError
from fsim.core.registry import additions
from fsim.experiments.engines.local import Here, Processes
from fsim.experiments.jobs import Engine


def make_engine(name: str, jobs: int | None, address: str | None = None) -> Engine:
    """An engine by name: ``local`` with so many processes, or ``ray``.

    Parameters
    ----------
    name
        ``"local"`` or ``"ray"``.
    jobs
        Runs at a time; None does them in this process, one after another.
    address
        Of a Ray cluster; None for one of its own on this machine.

    Raises
    ------
    ScenarioError
        Another engine, fewer jobs than one, Ray is not installed or does not answer, or something
        is registered that other processes cannot import.
    """
    if jobs is not None and jobs < 1:
        raise ScenarioError(f"--jobs: found {jobs}, allowed is 1 or more")
    if address is not None and name != "ray":
        raise ScenarioError(f"--ray-address: found one, with --engine {name}; allowed with ray")
    if name == "local":
        if jobs is None:
            return Here()
        _check_importable()
        return Processes(jobs)
    if name == "ray":
        from fsim.experiments.engines.ray_engine import RayEngine

        return RayEngine(jobs or os.cpu_count() or 1, address)
    raise ScenarioError(f"--engine: found {name!r}, allowed are local, ray")


def _check_importable() -> None:
    """A class of a notebook, or of a function's inside, is nowhere that a process could take it."""
    notebook = not hasattr(sys.modules["__main__"], "__file__")
    for addition in additions():
        kind = addition.entry if isinstance(addition.entry, type) else type(addition.entry)
        inside = "<locals>" in kind.__qualname__
        if inside or (notebook and kind.__module__ == "__main__"):
            where = "a function" if inside else "a notebook"
            raise ScenarioError(
                f"{addition.noun} {addition.name}: found in {where}, from which other processes "
                "cannot import it; allowed is jobs=None, which runs here, or a class of a module"
            )

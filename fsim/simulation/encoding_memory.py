"""The most memory that encoding an update takes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


class EncodingMemory:
    """The most bytes that a policy has taken at once while it encoded.

    Counted above what there was before, the update and its Fisher among it, by ``tracemalloc``:
    NumPy's arrays and Python's objects. The first time is left out, as modules are loaded and
    tables made in it that stay.

    Attributes
    ----------
    peak
        Bytes; None until there has been a second time.
    """

    def __init__(self) -> None:
        self.peak: int | None = None
        self._first = True

    @contextmanager
    def measured(self) -> Iterator[None]:
        """A context that measures the encoding of one update."""
        already = tracemalloc.is_tracing()
        if not already:
            tracemalloc.start()
        tracemalloc.reset_peak()
        began, _ = tracemalloc.get_traced_memory()
        try:
            yield
            _, most = tracemalloc.get_traced_memory()
        finally:
            if not already:
                tracemalloc.stop()
        if not self._first:
            self.peak = max(self.peak or 0, most - began)
        self._first = False

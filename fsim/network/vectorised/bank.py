"""The capacities of a whole population: a few staircases, and three numbers a client.

Every client follows one of the staircases with a factor and an offset of its own, which is what
recorded traces and rates drawn from a distribution come down to: a client then costs some ten bytes
instead of a trace. Questions are asked of many clients at once and answered in closed form, by the
formulas of :class:`fsim.network.links.capacity.Capacity` on arrays; ``bank.capacity(client)`` is
the same link by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fsim.core.errors import TraceError
from fsim.network.links.capacity import FACTORS, Capacity, never_ends
from fsim.network.vectorised.followers import Floats, Followers, Integers, columns, passes, piece_at


@dataclass(frozen=True)
class FinishTimes:
    """Finish times of many transfers.

    Attributes
    ----------
    seconds
        Shape (transfers,); ``inf`` for those that never end.
    clients, starts, sizes
        Whose transfers they are, when they began (seconds), and bytes; same shape.
    """

    seconds: Floats
    clients: Integers
    starts: Floats
    sizes: Floats

    @property
    def never(self) -> npt.NDArray[np.bool_]:
        """Mask of the transfers that never end, shape (transfers,)."""
        return np.isinf(self.seconds)

    def all_end(self) -> Floats:
        """The seconds, all finite.

        Raises
        ------
        TransferNeverEnds
            One never ends; it names the first such client.
        """
        if self.never.any():
            first = int(np.argmax(self.never))
            error = never_ends(float(self.sizes[first]), float(self.starts[first]))
            raise type(error)(f"client {self.clients[first]}: {error}")
        return self.seconds


class CapacityBank:
    """The capacities of a population.

    Columns are kept in the type that they come in (float32 saves half the memory) and not copied;
    all arithmetic is in float64.

    Parameters
    ----------
    shapes
        The distinct capacities; a client's own is one of them with a factor and an offset.
    which
        Which shape each client follows, shape (clients,), of any integer type.
    scales
        What each client's rates are multiplied by, shape (clients,); 1 if None.
    offsets
        Seconds into the shape at which each client's time 0 lies, shape (clients,); 0 if None.

    Raises
    ------
    TraceError
        The columns differ in length, or hold what no single capacity may have.
    """

    def __init__(
        self,
        shapes: Sequence[Capacity],
        which: Integers,
        scales: npt.NDArray[np.floating[Any]] | None = None,
        offsets: npt.NDArray[np.floating[Any]] | None = None,
    ) -> None:
        self.shapes = tuple(shapes)
        self.which = which
        # A column of one value takes no memory for the others.
        same = np.broadcast_to
        self.scales = same(np.float32(1), which.shape) if scales is None else scales
        self.offsets = same(np.float32(0), which.shape) if offsets is None else offsets
        self._check()

    @classmethod
    def draw(
        cls,
        shapes: Sequence[Capacity],
        clients: int,
        rng: np.random.Generator,
        means: npt.NDArray[np.floating[Any]] | None = None,
        *,
        random_offset: bool = True,
    ) -> CapacityBank:
        """Give every client one of the shapes at random, entered at a random moment.

        Parameters
        ----------
        clients
            How many.
        rng
            All shapes are drawn first, then all offsets.
        means
            Bytes/s that each client's mean rate is scaled to, shape (clients,); None for the
            shapes' own.
        random_offset
            Whether offsets are drawn, uniform over a shape's duration, or all 0.

        Raises
        ------
        TraceError
            A shape that is zero throughout was to be scaled.
        """
        which = rng.integers(len(shapes), size=clients, dtype=np.uint32)
        scales, offsets = None, None
        if means is not None:
            own = np.array([shape.mean for shape in shapes])
            if np.any(own == 0):
                raise TraceError("a capacity that is zero throughout cannot be scaled to a mean")
            scales = (means / own[which]).astype(np.float32)
        if random_offset:
            durations = np.array([shape.duration for shape in shapes])
            durations[np.isinf(durations)] = 0
            offsets = (rng.random(clients, dtype=np.float32) * durations[which]).astype(np.float32)
        return cls(shapes, which, scales, offsets)

    def _check(self) -> None:
        which, scales, offsets = self.which, self.scales, self.offsets
        if which.ndim != 1 or not which.shape == scales.shape == offsets.shape:
            raise TraceError(
                f"a bank of capacities needs columns of one length, found {which.shape}, "
                f"{scales.shape}, {offsets.shape}"
            )
        if not np.issubdtype(which.dtype, np.integer):
            raise TraceError(f"found shapes numbered in {which.dtype}, allowed are integers")
        for wrong, column, allowed in (
            ((which < 0) | (which >= len(self.shapes)), which, f"0 to {len(self.shapes) - 1}"),
            (
                ~((scales >= FACTORS[0]) & (scales <= FACTORS[1])),
                scales,
                f"factors of {FACTORS[0]:g} to {FACTORS[1]:g}",
            ),
            (~((offsets >= 0) & np.isfinite(offsets)), offsets, "offsets of 0 s or more"),
        ):
            if wrong.any():
                first = int(np.argmax(wrong))
                raise TraceError(f"client {first}: found {column[first]:g}, allowed are {allowed}")

    def __len__(self) -> int:
        """Number of clients."""
        return len(self.which)

    @property
    def nbytes(self) -> int:
        """Bytes of memory of the columns, the shapes apart."""
        columns = (self.which, self.scales, self.offsets)
        return sum(column.nbytes for column in columns if 0 not in column.strides)

    def capacity(self, client: int) -> Capacity:
        """The capacity of one client; it shares the staircase."""
        shape = self.shapes[int(self.which[client])]
        scale = shape.scale * float(self.scales[client])
        return Capacity.over(shape.staircase, scale, shape.offset + float(self.offsets[client]))

    def scaled(self, factor: float) -> CapacityBank:
        """All rates of all clients multiplied by a factor; the columns are shared.

        Raises
        ------
        TraceError
            The factor is negative, not finite, or out of all proportion.
        """
        bank = CapacityBank.__new__(CapacityBank)
        bank.shapes = tuple(shape.scaled(factor) for shape in self.shapes)
        bank.which, bank.scales, bank.offsets = self.which, self.scales, self.offsets
        return bank

    def rates_at(self, clients: Integers, times: npt.ArrayLike) -> Floats:
        """Bytes/s of each client at a time (seconds, 0 or more) of its own, shape (clients,)."""
        who, (when,) = columns(clients, times)
        rates = np.empty(len(who))
        for links in self._groups(who):
            steps, within = links.steps, when[links.at] + links.offsets
            links.refuse(within >= steps.period, within)
            _, within = passes(within, steps.period)
            rates[links.at] = steps.rates[piece_at(steps, within)] * links.scales
        return rates

    def bytes_between(
        self, clients: Integers, begins: npt.ArrayLike, ends: npt.ArrayLike
    ) -> Floats:
        """Bytes that each client's link delivers from one time to another (seconds)."""
        who, (begin, end) = columns(clients, begins, ends)
        delivered = np.empty(len(who))
        for links in self._groups(who):
            area = links.area(end[links.at]) - links.area(begin[links.at])
            delivered[links.at] = area * links.scales
        return delivered

    def finish_times(
        self,
        clients: Integers,
        starts: npt.ArrayLike,
        sizes: npt.ArrayLike,
    ) -> FinishTimes:
        """Finish times of many transfers, each by itself, as :meth:`Capacity.finish_time` has them.

        Parameters
        ----------
        clients
            Whose links they use, shape (transfers,); a client may occur more than once.
        starts, sizes
            Seconds and bytes, of that shape or single numbers.

        Raises
        ------
        TraceError
            A staircase with ``past_end`` ``"error"`` ends first; it names a client.
        ValueError
            A number is negative or not finite; it names the first such client.
        """
        who, (begin, size) = columns(clients, starts, sizes)
        seconds = begin.copy()
        moving = size > 0
        at = None if moving.all() else np.flatnonzero(moving)
        for links in self._groups(who, at):
            seconds[links.at] = links.finish(begin[links.at], size[links.at])
        return FinishTimes(seconds, who, begin, size)

    def _groups(self, clients: Integers, at: Integers | None = None) -> Iterator[Followers]:
        """The links of clients (those at some places of a request), shape by shape."""
        if at is not None:
            clients = clients[at]
        if len(self.shapes) == 1:
            yield self._followers(0, clients, slice(None) if at is None else at)
            return
        which = self.which[clients]
        order = np.argsort(which, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(which[order])) + 1):
            if len(part):
                shape = int(which[part[0]])
                yield self._followers(shape, clients[part], part if at is None else at[part])

    def _followers(self, shape: int, clients: Integers, at: Integers | slice) -> Followers:
        of = self.shapes[shape]
        scales = of.scale * self.scales[clients].astype(np.float64)
        offsets = of.offset + self.offsets[clients].astype(np.float64)
        return Followers(of.staircase, clients, at, scales, offsets)

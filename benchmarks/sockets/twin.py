"""A recorded run played over real sockets, round by round."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sockets.emulator import PipeSpec
from benchmarks.sockets.namespaces import Lab
from benchmarks.sockets.recorded import Recording

QUEUE = 1e6
"""Bytes that wait at each link at the most: so many that hardly anything is dropped, for fsim knows
no losses at the end of a queue."""

AHEAD = 0.01
"""Seconds ahead that a round's beginning is told, so that all processes are ready for it."""


@dataclass(frozen=True)
class Played:
    """One round over sockets.

    Attributes
    ----------
    seconds
        From its beginning until it closed.
    uploads
        Client -> seconds until its payload had arrived, of those that were in time.
    """

    seconds: float
    uploads: dict[int, float]


def pipe(rate: float, queue: float, fair: bool = False) -> PipeSpec:
    """A link of so many bits/s, with a queue of so many bytes, or one for each client."""
    return PipeSpec(((0.0, rate),), queue, fair=fair)


def certificate(folder: Path) -> tuple[str, str]:
    """Files of a certificate that signs itself and its key, for the server, and for the clients."""
    key, signed, both = (str(folder / name) for name in ("key.pem", "signed.pem", "both.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=twin", "-keyout", key, "-out", signed],
        check=True, capture_output=True,
    )  # fmt: skip
    Path(both).write_bytes(Path(signed).read_bytes() + Path(key).read_bytes())
    return both, signed


@contextlib.contextmanager
def laboratory_of(recording: Recording, queue: float, fifo: bool) -> Iterator[Lab]:
    """Namespaces with the links of a recording, until the end of the ``with`` block.

    Parameters
    ----------
    queue
        Bytes at each link.
    fifo
        Whether all clients share one queue at the server's door.
    """
    doors = (
        None if rate is None else pipe(rate, queue, fair=not fifo)
        for rate in (recording.ingress, recording.egress)
    )
    links = [
        (pipe(way.up, queue), pipe(way.down, queue), way.round_trip)
        for way in recording.ways.values()
    ]
    with contextlib.closing(Lab(links, *doors)) as laboratory:
        yield laboratory


def play(
    recording: Recording,
    congestion: str,
    fresh: bool,
    tls: tuple[str, str] | None = None,
    queue: float = QUEUE,
    fifo: bool = False,
) -> list[Played]:
    """Play all rounds of a recording.

    Parameters
    ----------
    congestion
        Linux's name of the congestion control.
    fresh
        Whether each round has connections of its own.
    tls
        Files of :func:`certificate`; None for plain TCP.
    queue, fifo
        Of :func:`laboratory_of`.
    """
    identity, authority = tls or ("", "")
    with laboratory_of(recording, queue, fifo) as laboratory:
        program = ("-m", "benchmarks.sockets.peers")
        server = laboratory.start(laboratory.server, *program, "server", congestion, identity)
        clients = {
            number: laboratory.start(
                namespace, *program, "client", str(number), congestion, authority
            )
            for number, namespace in zip(recording.ways, laboratory.clients, strict=True)
        }
        laboratory.reset()
        behind: dict[int, int] = dict.fromkeys(recording.ways, 0)
        played = []
        for round_ in recording.rounds:
            at = time.monotonic() + AHEAD
            numbers = [upload.client for upload in round_.uploads]
            server.tell({
                "at": at, "clients": numbers, "download": round_.download, "fresh": fresh,
                "needed": recording.needed, "deadline": recording.deadline,
                "behind": {str(number): count for number, count in behind.items()},
            })  # fmt: skip
            for upload in round_.uploads:
                clients[upload.client].tell(
                    {"at": at, "payload": str(upload.payload), "fresh": fresh}
                )
            answer = server.answer()
            arrivals = {int(key): value for key, value in answer["arrivals"].items()}
            for number in numbers:
                if number in arrivals:
                    clients[number].answer()
                else:
                    behind[number] += 1
            for key in answer["late"]:
                behind[int(key)] -= 1
                clients[int(key)].answer()
            played.append(Played(answer["seconds"], arrivals))
        return played

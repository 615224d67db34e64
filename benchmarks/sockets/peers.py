"""The server and the clients of a round over real sockets, each a process in its namespace.

A message is its length in 8 bytes and then as many bytes, in one write. A client that has no
connection opens one at the round's beginning and says its number; the server sends each client of
the round the adapter, and the client answers with its payload as soon as it has all of it.
Times are of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.sockets.namespaces import SERVER_ADDRESS

PORT = 5201
LONGEST = 600.0
"""Seconds after which a socket that waits is given up."""

_CHUNK = 1 << 18


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """So many bytes; fewer if the other end has closed."""
    parts, rest = [], size
    while rest:
        part = connection.recv(min(rest, _CHUNK))
        if not part:
            break
        parts.append(part)
        rest -= len(part)
    return b"".join(parts)


def read_message(connection: socket.socket) -> bytes | None:
    """The next message; None if the other end has closed."""
    head = read_exactly(connection, 8)
    if len(head) < 8:
        return None
    size = int.from_bytes(head, "big")
    body = read_exactly(connection, size)
    return body if len(body) == size else None


def message(body: bytes) -> bytes:
    """A message as it is written."""
    return len(body).to_bytes(8, "big") + body


def wait_until(moment: float) -> None:
    """Sleep until a moment of the monotonic clock, the last millisecond awake."""
    while (rest := moment - time.monotonic()) > 0:
        if rest > 1e-3:
            time.sleep(rest - 1e-3)


def commands() -> Iterator[dict[str, Any]]:
    """Lines of JSON on standard input; ``ready`` is told before the first."""
    print("ready", flush=True)
    for line in sys.stdin:
        yield json.loads(line)


def client(number: int, congestion: str, authority: str) -> None:
    """A client: a round is ``at``, ``payload`` and ``fresh``; told are the moments of its parts."""
    connection: socket.socket | None = None
    for command in commands():
        body = message(Path(command["payload"]).read_bytes())
        try:
            if connection is None:
                wait_until(command["at"])
                connection = _connect(congestion, authority)
                connection.sendall(message(b"%d" % number))
            adapter = read_message(connection)
            has_it = time.monotonic()
            if command["fresh"]:
                connection.close()
                upload = _connect(congestion, authority)
                # One write, so that it is one flight.
                upload.sendall(message(b"%d up" % number) + body)
                connection = None
            else:
                connection.sendall(body)
            told = {"adapter": has_it, "bytes": len(adapter or b"")}
        except OSError as error:
            told = {"error": repr(error)}
        print(json.dumps(told), flush=True)


def _connect(congestion: str, authority: str) -> socket.socket:
    plain = socket.socket()
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    plain.settimeout(LONGEST)
    plain.connect((SERVER_ADDRESS, PORT))
    if not authority:
        return plain
    context = ssl.create_default_context(cafile=authority)
    context.check_hostname = False
    return context.wrap_socket(plain)


class Server:
    """The server: a thread for each connection, and one that plays the rounds.

    Parameters
    ----------
    congestion
        Congestion control of what it sends.
    identity
        Files of its certificate and key in one; without TLS if it is empty.
    """

    def __init__(self, congestion: str, identity: str) -> None:
        self._congestion, self._context = congestion, None
        if identity:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(identity)
            # A ticket for the next session would cross the link after the handshake.
            self._context.num_tickets = 0
        self._connections: dict[int, socket.socket] = {}
        self._wanted: dict[int, bytes] = {}
        self._lock = threading.Lock()
        self._arrivals: queue.SimpleQueue[tuple[int, float, int]] = queue.SimpleQueue()

    def serve(self) -> None:
        """Listen, and play the rounds that are told on standard input."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._congestion.encode())
        listener.bind((SERVER_ADDRESS, PORT))
        listener.listen(256)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        for command in commands():
            print(json.dumps(self._round(command)), flush=True)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(LONGEST)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            name = read_message(connection)
            if name is None:
                return
            number, *upload = name.split()
            who = int(number)
            if not upload:
                with self._lock:
                    self._connections[who] = connection
                    adapter = self._wanted.pop(who, None)
                if adapter is not None:
                    connection.sendall(adapter)
            while (body := read_message(connection)) is not None:
                self._arrivals.put((who, time.monotonic(), len(body)))

    def _round(self, command: dict[str, Any]) -> dict[str, Any]:
        """Play a round: send, and wait for as many as are needed or for the deadline.

        Updates of a round that is over arrive in a later one and are told in it as late.
        """
        adapter, clients = message(bytes(command["download"])), list(command["clients"])
        waiting, arrivals, late = set(clients), {}, {}
        with self._lock:
            present = (
                []
                if command["fresh"]
                else [number for number in clients if number in self._connections]
            )
            for number in clients:
                if number not in present:
                    self._connections.pop(number, None)
                    self._wanted[number] = adapter
            sockets = [self._connections[number] for number in present]
        start = [threading.Thread(target=each.sendall, args=(adapter,)) for each in sockets]
        wait_until(command["at"])
        for thread in start:
            thread.start()
        closes = command["at"] + (command["deadline"] or LONGEST)
        while len(arrivals) < command["needed"] and waiting:
            try:
                number, moment, _ = self._arrivals.get(timeout=max(0.0, closes - time.monotonic()))
            except queue.Empty:
                break
            if behind := command["behind"][str(number)]:
                command["behind"][str(number)] = behind - 1
                late[number] = moment - command["at"]
            else:
                waiting.discard(number)
                arrivals[number] = moment - command["at"]
        return {"arrivals": arrivals, "late": late, "seconds": time.monotonic() - command["at"]}


def main(arguments: list[str]) -> None:
    """``server CONGESTION IDENTITY`` or ``client NUMBER CONGESTION AUTHORITY``."""
    kind, *rest = arguments
    if kind == "server":
        Server(*rest).serve()
    else:
        client(int(rest[0]), *rest[1:])


if __name__ == "__main__":
    main(sys.argv[1:])

"""Network namespaces, joined by an emulator, and the processes in them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.sockets.emulator import Path as ClientPath
from benchmarks.sockets.emulator import PipeSpec, Topology

ROOT = Path(__file__).parents[2]

SERVER_ADDRESS = "10.78.0.1"
"""Of the server, in a network that exists within the namespaces alone."""

NEEDS = "network namespaces need Linux, root, /dev/net/tun and the command ip"


class LabError(Exception):
    """A command of the laboratory failed."""


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def why_not() -> str | None:
    """The reason why no namespaces can be made here; None if they can."""
    if sys.platform != "linux" or os.geteuid() or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return NEEDS
    name = f"fsim-try-{os.getpid()}"
    try:
        _run("ip", "netns", "add", name)
        _run("ip", "netns", "del", name)
    except (OSError, LabError) as error:
        return f"{NEEDS}: {error}"
    return None


def remove_abandoned() -> None:
    """Remove the namespaces of a laboratory whose process was killed."""
    for name in _run("ip", "netns", "list").split():
        if (made := re.match(r"fsim-(\d+)-", name)) and not Path(f"/proc/{made[1]}").exists():
            _run("ip", "netns", "del", name)


class Child:
    """A process that answers lines of JSON by lines of JSON."""

    def __init__(self, words: Sequence[str], ready: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "FLWR_TELEMETRY_ENABLED": "0"}
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        line = self.read()
        if line.strip() != ready:
            raise LabError(f"{words[-1]}: found {line!r}, wanted {ready!r}")

    def read(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def tell(self, message: Any) -> None:
        """Write a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps(message)}\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """The next line that it prints, read.

        Raises
        ------
        LabError
            It has ended, or tells of an error.
        """
        line = self.read()
        answer = json.loads(line) if line else {"error": "it has ended"}
        if isinstance(answer, dict) and "error" in answer:
            raise LabError(answer["error"])
        return answer

    def ask(self, message: Any) -> Any:
        """Write a line to it, and read the answer."""
        self.tell(message)
        return self.answer()

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Lab:
    """A server and clients, each in a namespace of its own.

    Parameters
    ----------
    clients
        Up, down and the seconds of round trip of each.
    ingress, egress
        The server's door.
    seed
        Of the losses.
    """

    def __init__(
        self,
        clients: Sequence[tuple[PipeSpec, PipeSpec, float]],
        ingress: PipeSpec | None = None,
        egress: PipeSpec | None = None,
        seed: int = 0,
    ) -> None:
        remove_abandoned()
        tag = str(os.getpid())
        self._stack = contextlib.ExitStack()
        self.server = f"fsim-{tag}-server"
        self.clients = [f"fsim-{tag}-client{at}" for at in range(len(clients))]
        paths = tuple(
            ClientPath(f"c{tag}x{at}", (10, 78, 1 + at // 250, 1 + at % 250), up, down, round_trip)
            for at, (up, down, round_trip) in enumerate(clients)
        )
        topology = Topology(f"s{tag}", paths, ingress, egress)
        try:
            for name in (self.server, *self.clients):
                _run("ip", "netns", "add", name)
                self._stack.callback(_run, "ip", "netns", "del", name)
            words = ["-m", "benchmarks.sockets.emulator", topology.to_json(), str(seed)]
            self._emulator = Child([sys.executable, *words], "ready")
            self._stack.callback(self._emulator.close)
            self._attach(self.server, topology.device, SERVER_ADDRESS)
            for name, path in zip(self.clients, paths, strict=True):
                self._attach(name, path.device, ".".join(map(str, path.address)))
        except BaseException:
            self._stack.close()
            raise

    @staticmethod
    def _attach(namespace: str, device: str, address: str) -> None:
        _run("ip", "link", "set", device, "netns", namespace)
        inside = ("ip", "-n", namespace)
        _run(*inside, "addr", "add", f"{address}/16", "dev", device)
        _run(*inside, "link", "set", device, "txqueuelen", "10000")
        _run(*inside, "link", "set", device, "up")
        _run(*inside, "link", "set", "lo", "up")
        # Else what one transfer has shown of a path is the start of the next.
        setting = "net.ipv4.tcp_no_metrics_save=1"
        _run("ip", "netns", "exec", namespace, "sysctl", "-q", "-w", setting)

    def start(self, namespace: str, *words: str, ready: str = "ready") -> Child:
        """A Python process of ours in a namespace."""
        child = Child(["ip", "netns", "exec", namespace, sys.executable, *words], ready)
        self._stack.callback(child.close)
        return child

    def reset(self) -> dict[str, int]:
        """Links from their start, and nothing on its way; what was dropped and lost before."""
        return dict(self._emulator.ask("reset"))

    def close(self) -> None:
        """End all processes, and remove the namespaces."""
        self._stack.close()

"""A recorded run played by a Flower server and its clients, round by round.

Flower's own server loop (`flwr.server.start_server`) and clients (`start_client`), over one gRPC
stream a client, kept from round to round; the strategy asks the clients that fsim asked, and they
answer with the payloads that fsim recorded. A round is over when the last of them has answered.
Clients connect as they start, before the first round.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sockets.namespaces import SERVER_ADDRESS
from benchmarks.sockets.peers import wait_until
from benchmarks.sockets.recorded import Recording
from benchmarks.sockets.twin import AHEAD, QUEUE, Played, laboratory_of

if TYPE_CHECKING:
    from flwr.server.client_manager import ClientManager
    from flwr.server.client_proxy import ClientProxy

ADDRESS = f"{SERVER_ADDRESS}:9092"


def is_installed() -> bool:
    """Whether the Python that runs has Flower."""
    return importlib.util.find_spec("flwr") is not None


def play(recording: Recording, queue: float = QUEUE) -> list[Played]:
    """Play all rounds of a recording whose rounds end with the last client.

    Parameters
    ----------
    queue
        Bytes at each link.
    """
    with laboratory_of(recording, queue, fifo=False) as laboratory:
        program = ("-m", "benchmarks.sockets.flower")
        counts = (str(len(recording.ways)), str(len(recording.rounds)))
        server = laboratory.start(laboratory.server, *program, "server", *counts)
        for number, namespace in zip(recording.ways, laboratory.clients, strict=True):
            laboratory.start(namespace, *program, "client", str(number))
        if server.read().strip() != "connected":
            raise RuntimeError("Flower's clients have not connected")
        laboratory.reset()
        played = []
        for round_ in recording.rounds:
            payloads = {str(upload.client): str(upload.payload) for upload in round_.uploads}
            at = time.monotonic() + AHEAD
            answer = server.ask({"at": at, "download": round_.download, "payloads": payloads})
            arrivals = {int(key): value for key, value in answer["arrivals"].items()}
            played.append(Played(answer["seconds"], arrivals))
        return played


def serve(clients: int, rounds: int) -> None:
    """The server: rounds are told on standard input."""
    from flwr.common import FitIns, GetPropertiesIns, Parameters
    from flwr.server import ServerConfig, start_server
    from flwr.server.client_proxy import ClientProxy as Proxy
    from flwr.server.strategy import Strategy

    class Watched(Proxy):
        """A client whose answers are timed as they come."""

        def __init__(self, proxy: ClientProxy, arrivals: dict[int, float], number: int) -> None:
            super().__init__(proxy.cid)
            self._proxy, self._arrivals, self._number = proxy, arrivals, number

        def fit(self, *arguments: Any, **options: Any) -> Any:
            answer = self._proxy.fit(*arguments, **options)
            self._arrivals[self._number] = time.monotonic()
            return answer

        def get_properties(self, *arguments: Any, **options: Any) -> Any:
            return self._proxy.get_properties(*arguments, **options)

        def get_parameters(self, *arguments: Any, **options: Any) -> Any:
            return self._proxy.get_parameters(*arguments, **options)

        def evaluate(self, *arguments: Any, **options: Any) -> Any:
            return self._proxy.evaluate(*arguments, **options)

        def reconnect(self, *arguments: Any, **options: Any) -> Any:
            return self._proxy.reconnect(*arguments, **options)

    class Rounds(Strategy):
        """Asks whom it is told to ask, and tells when they had answered."""

        def __init__(self, told: Iterator[dict[str, Any]]) -> None:
            self._told = told
            self._clients: dict[int, ClientProxy] = {}
            self._arrivals: dict[int, float] = {}
            self._at = 0.0

        def initialize_parameters(self, client_manager: ClientManager) -> Parameters:
            client_manager.wait_for(clients)
            for proxy in client_manager.all().values():
                asked = proxy.get_properties(GetPropertiesIns({}), timeout=None, group_id=0)
                self._clients[int(asked.properties["number"])] = proxy
            print("connected", flush=True)
            return Parameters([], "bytes")

        def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> Any:
            command = next(self._told)
            self._at, self._arrivals = command["at"], {}
            adapter = Parameters([bytes(command["download"])], "bytes")
            asked = [
                (Watched(self._clients[int(key)], self._arrivals, int(key)),
                 FitIns(adapter, {"payload": payload}))
                for key, payload in command["payloads"].items()
            ]  # fmt: skip
            wait_until(self._at)
            return asked

        def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
            seconds = time.monotonic() - self._at
            if failures:
                print(json.dumps({"error": repr(failures[0])}), flush=True)
            arrivals = {number: moment - self._at for number, moment in self._arrivals.items()}
            print(json.dumps({"arrivals": arrivals, "seconds": seconds}), flush=True)
            return None, {}

        def configure_evaluate(self, *arguments: Any, **options: Any) -> Any:
            return []

        def aggregate_evaluate(self, *arguments: Any, **options: Any) -> Any:
            return None, {}

        def evaluate(self, *arguments: Any, **options: Any) -> Any:
            return None

    print("ready", flush=True)
    strategy = Rounds(map(json.loads, sys.stdin))
    start_server(server_address=ADDRESS, config=ServerConfig(num_rounds=rounds), strategy=strategy)


def take_part(number: int) -> None:
    """A client: it answers with the payload whose file it is told."""
    from flwr.client import Client, start_client
    from flwr.common import Code, FitRes, GetPropertiesRes, Parameters, Status

    well = Status(Code.OK, "")

    class Sender(Client):
        """Sends what fsim's client sent."""

        def get_properties(self, ins: Any) -> GetPropertiesRes:
            return GetPropertiesRes(well, {"number": number})

        def fit(self, ins: Any) -> FitRes:
            payload = Path(ins.config["payload"]).read_bytes()
            return FitRes(well, Parameters([payload], "bytes"), 1, {})

    print("ready", flush=True)
    start_client(server_address=ADDRESS, client=Sender(), insecure=True)


def main(arguments: list[str]) -> None:
    """``server CLIENTS ROUNDS`` or ``client NUMBER``."""
    kind, *numbers = arguments
    logging.getLogger("flwr").setLevel(logging.ERROR)
    if kind == "server":
        serve(*map(int, numbers))
    else:
        take_part(*map(int, numbers))


if __name__ == "__main__":
    main(sys.argv[1:])

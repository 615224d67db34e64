"""Flower: its simulation on Ray, a ClientApp that trains the bare loop's client, and FedAvg.

Every actor keeps its model from client to client, which is the fastest way to write such an app.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Message,
    MessageType,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.rivals import Losses, Workload, make_workload
from benchmarks.rivals.bare import PeftClient
from fsim.core.types import FloatArray

client_app = ClientApp()


@functools.cache
def _actor(settings: str) -> tuple[Workload, PeftClient]:
    """What an actor process makes once."""
    torch.set_num_threads(1)
    workload = make_workload(settings)
    return workload, PeftClient(workload)


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """Local training of the client that the message names."""
    config = message.content["config"]
    workload, client = _actor(str(config["settings"]))
    client.load(message.content["arrays"]["adapter"].numpy())
    batches = workload.batches(int(config["client"]), int(config["round"]))
    losses = client.train(batches)
    metrics = {"losses": losses, "num-examples": 1}
    content = {
        "arrays": ArrayRecord({"adapter": Array(client.read())}),
        "metrics": MetricRecord(metrics),
    }
    return Message(content=RecordDict(content), reply_to=message)


class _Assigned(FedAvg):
    """FedAvg that says which client a node is to be, so that all sides train the same."""

    def __init__(self, workload: Workload, settings: str) -> None:
        super().__init__(fraction_evaluate=0.0)
        self._workload, self._settings = workload, settings

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """A message for each client of the round."""
        clients = self._workload.clients(server_round)
        nodes = list(grid.get_node_ids())[: len(clients)]
        for node, client in zip(nodes, clients, strict=True):
            told = ConfigRecord(
                {"settings": self._settings, "client": client, "round": server_round}
            )
            content = RecordDict({"arrays": arrays, "config": told})
            yield Message(content=content, message_type=MessageType.TRAIN, dst_node_id=node)


class Flower:
    """Rounds of Flower; they run inside the server app, which lives as long as the simulation."""

    def __init__(self, grid: Grid, workload: Workload, settings: str) -> None:
        self._grid, self._workload = grid, workload
        self._strategy = _Assigned(workload, settings)
        self.adapter = PeftClient(workload).read()

    def load(self, adapter: FloatArray) -> None:
        """Replace the global adapter."""
        self.adapter = adapter

    def round(self, number: int) -> Losses:
        """One round, as the strategy's own ``start`` makes it."""
        arrays = ArrayRecord({"adapter": Array(self.adapter)})
        messages = list(self._strategy.configure_train(number, arrays, ConfigRecord(), self._grid))
        clients = {m.metadata.dst_node_id: at for at, m in enumerate(messages)}
        replies = list(self._grid.send_and_receive(messages))
        averaged, _ = self._strategy.aggregate_train(number, replies)
        losses: Losses = [[] for _ in messages]
        for reply in replies:
            if reply.has_error():
                raise RuntimeError(f"a client of Flower failed: {reply.error.reason}")
            losses[clients[reply.metadata.src_node_id]] = list(reply.content["metrics"]["losses"])
        if averaged is None:
            raise RuntimeError("Flower received no results")
        self.adapter = np.asarray(averaged["adapter"].numpy(), dtype=np.float32)
        return losses


def serve(settings: str, processes: int, use: Callable[[Flower], None]) -> None:
    """Start Flower's simulation and hand its side to ``use``; it ends when that returns."""
    # Ray's processes import this module by its name.
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(
        part for part in (root, os.environ.get("PYTHONPATH")) if part
    )
    logging.getLogger("flwr").setLevel(logging.ERROR)
    workload = make_workload(settings)
    server_app = ServerApp()
    failures: list[BaseException] = []

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        try:
            use(Flower(grid, workload, settings))
        except BaseException as error:
            failures.append(error)
            raise

    run_simulation(
        server_app,
        client_app,
        num_supernodes=len(workload.shards),
        backend_config={
            "init_args": {"num_cpus": processes, "include_dashboard": False},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )
    if failures:
        raise failures[0]

"""A learner whose clients have quadratic losses: every optimum is known in closed form."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from fsim.core.types import Layout
from fsim.evaluation.evaluation import Evaluation
from fsim.simulation.run import RunResult, run_world
from fsim.simulation.world import SimulatedWorld
from fsim.store.memory_cache import MemoryCache
from fsim.training.trainer import TrainingJob, TrainingResult


class QuadraticLearner:
    """Client i minimises ``h_i / 2 |w - t_i|^2`` by gradient descent.

    Parameters
    ----------
    curvatures
        ``h_i``, shape (clients,).
    targets
        ``t_i``, shape (clients, coordinates); the coordinates are halved into A and B.
    rate
        Of the local steps.
    examples
        Of each client; 50 if None.
    """

    parameters = 1000
    cache = MemoryCache()

    def __init__(self, curvatures, targets, rate, policy=None, examples=None) -> None:
        self.curvatures, self.targets = np.array(curvatures), np.array(targets, "f4")
        self.rate, self.policy = rate, policy
        self._examples = examples or [50] * len(curvatures)
        self.initial = self.named(np.zeros(self.targets.shape[1], "f4"))
        self.layout = Layout.of(self.initial)
        self.facts: dict[str, Any] = {"adapter_parameters": self.layout.size}
        self.jobs: dict[int, TrainingJob] = {}

    def named(self, vector):
        """The coordinates as an adapter."""
        half = len(vector) // 2
        return {"x.lora_A.weight": vector[None, :half], "x.lora_B.weight": vector[half:, None]}

    def examples(self, client):
        return self._examples[client]

    def job(self, client, round_number, adapter, steps, correction=None, repeat=0):
        frozen = frozenset(
            name for name in adapter if self.policy and not self.policy.trains(name, round_number)
        )
        return TrainingJob(client, round_number, adapter, [()] * steps, frozen, correction)

    def operations(self, job):
        return 1e9

    def submit(self, job):
        self.jobs[len(self.jobs)] = job
        return len(self.jobs) - 1

    def result(self, ticket):
        job = self.jobs[ticket]
        curvature, target = self.curvatures[job.client], self.named(self.targets[job.client])
        end = {name: array.copy() for name, array in job.adapter.items()}
        losses = []
        for _ in job.batches:
            losses.append(curvature / 2 * _squared_distance(end, target))
            for name in end.keys() - job.frozen:
                gradient = curvature * (end[name] - target[name])
                if job.correction is not None:
                    pull = job.correction.proximal * (end[name] - job.adapter[name])
                    gradient = gradient + job.correction.constant[name] + pull
                end[name] = (end[name] - self.rate * gradient).astype("f4")
        delta = {name: end[name] - job.adapter[name] for name in end}
        return TrainingResult(delta, None, tuple(losses), 1.0)

    def evaluate(self, adapter):
        """The mean loss of all clients; the accuracy is 1 at a loss of 0, and 1/2 at 1."""
        losses = [
            curvature / 2 * _squared_distance(adapter, self.named(target))
            for curvature, target in zip(self.curvatures, self.targets, strict=True)
        ]
        loss = math.fsum(losses) / len(losses)
        accuracy = 1 / (1 + loss)
        return Evaluation(accuracy, loss, math.exp(min(loss, 50)), accuracy, "exact_match", {})

    def final_facts(self):
        return {}

    def save(self, adapter, folder: Path):
        pass


def _squared_distance(one, other) -> float:
    """Summed in float64, and without rounding on the way, so that it is the same everywhere."""
    steps = (np.square(one[name].astype(float) - other[name]) for name in one)
    return math.fsum(value for step in steps for value in step.ravel())


def run(loaded, learner) -> SimulatedWorld:
    """A whole run of a scenario with that learner."""
    world = SimulatedWorld(loaded, learner)
    protocol = loaded.scenario.protocol.make()
    world.env.run(world.env.process(protocol.run(world.env, world)))
    world.close()
    return world


COORDINATES = 8192
"""Those of the adapter of `tiny`, so that payloads are as long."""


def quadratic_learner(loaded, curvature=1.0, coordinates=COORDINATES, examples=None):
    """Clients of a scenario whose optima lie about 1 from the start, and from each other."""
    clients = loaded.scenario.fleet.clients
    targets = np.random.default_rng(5).standard_normal((clients, coordinates))
    return QuadraticLearner(
        curvatures=[curvature] * clients,
        targets=targets / math.sqrt(coordinates),
        rate=loaded.scenario.training.learning_rate,
        policy=loaded.scenario.compression.make(),
        examples=examples,
    )


def simulate(loaded, **learning) -> RunResult:
    """As :func:`fsim.simulation.run.simulate`, of such clients: for all that is not about models.

    The same bytes take the same time, and local training is a step of the learning rate towards a
    client's own optimum.
    """
    return run_world(SimulatedWorld(loaded, quadratic_learner(loaded, **learning)))

"""A learner whose clients have quadratic losses: every optimum is known in closed form."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from fsim.core.types import Layout
from fsim.evaluation.evaluation import Evaluation
from fsim.simulation.world import SimulatedWorld
from fsim.store.memory import MemoryCache
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
        self.facts: dict[str, Any] = {}
        self.jobs: dict[int, TrainingJob] = {}

    def named(self, vector):
        """The coordinates as an adapter."""
        half = len(vector) // 2
        return {"x.lora_A.weight": vector[None, :half], "x.lora_B.weight": vector[half:, None]}

    def examples(self, client):
        return self._examples[client]

    def job(self, client, round_number, adapter, steps, drift=None, repeat=0):
        frozen = frozenset(
            name for name in adapter if self.policy and not self.policy.trains(name, round_number)
        )
        return TrainingJob(client, round_number, adapter, [()] * steps, frozen, drift=drift)

    def operations(self, job):
        return 1e9

    def submit(self, job):
        self.jobs[len(self.jobs)] = job
        return len(self.jobs) - 1

    def result(self, ticket):
        job = self.jobs[ticket]
        curvature, target = self.curvatures[job.client], self.named(self.targets[job.client])
        end = {name: array.copy() for name, array in job.adapter.items()}
        for _ in job.batches:
            for name in end.keys() - job.frozen:
                gradient = curvature * (end[name] - target[name])
                if job.drift is not None:
                    gradient = gradient + job.drift[name]
                end[name] = (end[name] - self.rate * gradient).astype("f4")
        delta = {name: end[name] - job.adapter[name] for name in end}
        return TrainingResult(delta, None, (1.0,) * len(job.batches), 1.0)

    def evaluate(self, adapter):
        """The mean loss of all clients; the accuracy is 1 at a loss of 0, and 1/2 at 1."""
        vector = np.concatenate([array.ravel() for _, array in sorted(adapter.items())])
        distances = np.square(vector.astype(float) - self.targets)
        losses = [h / 2 * math.fsum(d) for h, d in zip(self.curvatures, distances, strict=True)]
        loss = math.fsum(losses) / len(losses)
        accuracy = 1 / (1 + loss)
        return Evaluation(accuracy, loss, math.exp(min(loss, 50)), accuracy, "exact_match", {})

    def final_facts(self):
        return {}

    def save(self, adapter, folder: Path):
        pass


def run(loaded, learner) -> SimulatedWorld:
    """A whole run of a scenario with that learner."""
    world = SimulatedWorld(loaded, learner)
    protocol = loaded.scenario.protocol.make()
    world.env.run(world.env.process(protocol.run(world.env, world)))
    world.close()
    return world

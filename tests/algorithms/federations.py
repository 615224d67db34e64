"""Six clients with quadratic losses, and what an algorithm makes of them."""

import numpy as np
import pytest

from fsim.core.errors import ScenarioError
from fsim.settings.loading import check_scenario
from tests.conftest import ROOT, tiny_data
from tests.simulation.quadratic import QuadraticLearner

CURVATURES = [1.0, 4.0, 0.5, 2.0, 3.0, 0.2]
TARGETS = np.random.default_rng(0).normal(size=(6, 8))
OPTIMUM = np.average(TARGETS, axis=0, weights=CURVATURES)
"""Where the sum of all losses is least."""

RATE = 0.1
SGD = {"optimizer": "sgd", "learning_rate": RATE, "local_steps": 5}
EQUAL = {"aggregation": {"kind": "fedavg", "weights": "equal"}}


def settings(server=EQUAL, rounds=3, clients=6, **more):
    """Changes to the tiny scenario, whose learner is to be :func:`learner`."""
    return {
        "training": SGD,
        "server": server,
        "protocol": {"rounds": rounds, "clients_per_round": clients, **more.pop("protocol", {})},
        "compression": {"policy": "float32"},
        **more,
    }


def learner(**more):
    """The six clients."""
    return QuadraticLearner(CURVATURES, TARGETS, RATE, **more)


def flat(world):
    """The global adapter as one vector."""
    return np.concatenate([world.adapter[name].ravel() for name in sorted(world.adapter)])


def cohorts(world):
    """Round -> clients whose updates were received, in ascending order."""
    records = world.recorder.records()
    uploads = records[records["kind"] == "receive"]
    return lambda number: sorted(uploads[uploads["round"] == number]["client"])


def flat_values(values):
    """The server's value and each client's of :class:`fsim.algorithms.base.ClientValues`, flat."""
    layout = values.federation.layout
    own = {client: layout.flatten(value) for client, value in values.own.items()}
    return layout.flatten(values.server), own


def assert_mean_of_clients(values):
    """The server's value is the mean of the six clients'."""
    server, own = flat_values(values)
    np.testing.assert_allclose(server, sum(own.values()) / 6, atol=1e-5)


def refusal(**changes):
    """The one line with which the tiny scenario is refused."""
    with pytest.raises(ScenarioError) as caught:
        check_scenario(tiny_data(**changes), "tiny.yaml", (ROOT,))
    return str(caught.value).removeprefix("tiny.yaml: ")

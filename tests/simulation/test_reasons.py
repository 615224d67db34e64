"""One client's trouble stays that client's: recorded with a reason, and the protocol goes on."""

import dataclasses
import functools
import json

import numpy as np
import pytest

from fsim.compression import POLICIES
from fsim.core.errors import NothingLeft, TrainingDiverged
from fsim.fleet.population import DrawnPopulation
from fsim.network import Capacity
from fsim.server.protocols import PROTOCOLS
from fsim.server.protocols.base import ClientUpdate
from fsim.simulation.build import build_population
from fsim.simulation.run import run_world
from fsim.simulation.world import SimulatedWorld
from tests.simulation.quadratic import QuadraticLearner

OPTIONS = {"buffered": {"buffer": 2}, "tiered": {"tiers": 2}, "deadline": {"after": "20 s"}}
SICK = 2
"""The client that has trouble."""


class Learner(QuadraticLearner):
    """Gives all that any policy asks of training; one client's training goes wrong in some way."""

    def __init__(self, wrong=None) -> None:
        super().__init__([1.0] * 6, np.ones((6, 64)), 0.1)
        self.wrong = wrong

    def result(self, ticket):
        job, done = self.jobs[ticket], super().result(ticket)
        if job.client == SICK and self.wrong == "loss":
            raise TrainingDiverged(f"client {SICK}, round 1: the training loss became nan")
        if job.client == SICK and self.wrong == "told":
            return dataclasses.replace(done, losses=(np.nan,) * len(done.losses))
        delta = dict(done.delta)
        if job.client == SICK and self.wrong is not None:
            name = min(delta)
            delta[name] = np.full_like(delta[name], self.wrong)
        ones = {name: np.ones_like(values) for name, values in delta.items()}
        return dataclasses.replace(
            done, delta=delta, fisher=ones, scales=dict.fromkeys(delta, 0.01)
        )


def settings(kind="synchronous", **more):
    protocol = {"kind": kind, "clients_per_round": 3, "rounds": 8,
                "keepalive": {"time": "4 s", "timeout": "1 s"}}  # fmt: skip
    return {"protocol": {**protocol, **OPTIONS.get(kind, {})}, "seed": 3, **more}


def run(loaded, learner=None, **links):
    """Run a scenario, the sick client's links replaced."""
    drawn = build_population(loaded)

    def profiles(clients):
        for client in clients:
            changed = {
                name: dataclasses.replace(getattr(drawn[client], name), capacity=capacity)
                for name, capacity in links.items()
            }
            yield dataclasses.replace(drawn[client], **(changed if client == SICK else {}))

    population = DrawnPopulation(len(drawn), lambda clients: list(profiles(clients)))
    done = run_world(SimulatedWorld(loaded, learner or Learner(), population=population))
    counts = done.facts["accounts"]
    ends = [times for name, times in counts.items() if name != "selected"]
    assert counts["selected"] == sum(ends)
    return done


def reasons(done, kind):
    rows = done.records[done.records["kind"] == kind]
    return set(rows["client"]), {json.loads(text)["reason"] for text in rows["details"]}


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("link", ["uplink", "downlink"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("rule", ["resume", "restart", "lost"])
def test_a_link_that_dies(tiny, kind, link, shared, rule):
    """The others' rounds go on, and the server gives the client up."""
    more = {"server": {"ingress": "50 Mbit/s", "egress": "50 Mbit/s"}} if shared else {}
    # As many as take longer than the server's patience, one update or a cohort's at a time.
    rounds = 150 if kind == "asynchronous" else 60
    loaded = tiny(
        **settings(
            kind,
            fleet__when_away=rule,
            protocol__rounds=rounds,
            protocol__keepalive={"time": "1 s", "timeout": "1 s"},
            **more,
        )
    )
    done = run(loaded, **{link: Capacity([0.0, 0.2], [1000.0, 0.0])})
    assert done.failure is None
    counts = done.facts["accounts"]
    assert counts["aggregated"] >= rounds
    who, why = reasons(done, "lost")
    assert who == {SICK}
    assert why == {f"its {link.replace('link', 'load')} never ends"}
    assert counts["dropped"] >= 1


def test_a_round_ends_by_its_deadline_when_a_link_is_dead(tiny):
    """Half of all are asked too many; the dead one's last byte, of 0.2 s, is 5 s old when it is
    taken for lost, and half a round trip more."""
    loaded = tiny(**settings("deadline", protocol__clients_per_round=6, protocol__over_selection=1))
    done = run(loaded, uplink=Capacity([0.0, 0.2], [1000.0, 0.0]))
    lost = done.records[done.records["kind"] == "lost"].iloc[0]
    assert lost["time_s"] + lost["duration_s"] == pytest.approx(5.2 + 0.025)
    assert lost["bytes"] > 0


def test_a_dead_link_is_given_up_a_keepalive_after_its_last_byte(tiny):
    loaded = tiny(**settings(protocol__clients_per_round=6, transport__kind="fluid",
                             fleet__seconds_per_step={"laptop": "10 ms"}))  # fmt: skip
    done = run(loaded, uplink=Capacity([0.0, 0.1], [1000.0, 0.0]))
    rows = done.records[done.records["client"] == SICK]
    upload = rows[rows["kind"] == "upload"].iloc[0]
    assert upload["time_s"] + upload["duration_s"] == pytest.approx(0.1)
    assert upload["bytes"] == int(1000 * upload["duration_s"])
    lost = rows[rows["kind"] == "lost"].iloc[0]
    assert lost["time_s"] + lost["duration_s"] == pytest.approx(5.1 + 0.025)
    assert lost["bytes"] == upload["bytes"]


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_a_run_ends_early_only_where_nobody_is_left(tiny, kind, tmp_path):
    trace = tmp_path / "dying.csv"
    trace.write_text("time_s,rate_mbit_s\n0,1\n3,0\n")
    uplink = {"trace": str(trace), "past_end": "hold", "offset": "none"}
    done = run(tiny(**settings(kind, fleet__uplink=uplink, protocol__rounds=1000)))
    assert "never arrive: the capacity stays at zero; nobody is left who could ever answer" in (
        done.failure
    )
    # Three seconds were enough for some, and what had arrived was used.
    assert done.facts["accounts"]["aggregated"] > 0
    assert done.metrics.simulated_s < 60


ENDS = {"starts": [0.0], "rates": [1000.0], "past_end": "error"}


@pytest.mark.parametrize("moment", [None, "uploading"])
@pytest.mark.parametrize("ingress", [None, "1 Mbit/s"])
def test_a_trace_that_ends_is_told_with_its_client(tiny, moment, ingress):
    vanish = {"kind": "dropout", "probability": 0.9, "moment": moment}
    availability = {"kind": "always"} if moment is None else vanish
    loaded = tiny(**settings(fleet__availability=availability, server={"ingress": ingress}))
    done = run(loaded, uplink=Capacity(duration=0.2, **ENDS))
    assert done.failure.startswith(f"client {SICK}, round 1: the capacity is known for 0.2 s")


@pytest.mark.parametrize("transport", ["tcp", "datagram"])
def test_a_trace_need_tell_nothing_of_the_last_half_of_a_round_trip(tiny, transport):
    loaded = tiny(
        **settings(transport={"kind": transport}, protocol__rounds=1),
        fleet__uplink={"rate": "1 kB/s", "round_trip": "100 ms"},
    )

    def uploads(capacity):
        rows = run(loaded, uplink=capacity).records.query(f"kind == 'upload' and client == {SICK}")
        return rows.iloc[0]

    row = uploads(Capacity.constant(1000.0))
    through = row["time_s"] + row["duration_s"] - 0.05
    other = uploads(Capacity(duration=through + 1e-6, **ENDS))
    assert (other["bytes"], other["duration_s"]) == (row["bytes"], row["duration_s"])
    assert "capacity" in row["details"]
    assert "capacity" not in other["details"]


def test_a_client_that_vanishes_while_its_dead_link_would_have_carried_its_upload(tiny):
    availability = {"kind": "dropout", "probability": 0.9, "moment": "uploading"}
    loaded = tiny(**settings(fleet__availability=availability))
    done = run(loaded, uplink=Capacity([0.0, 0.2], [1000.0, 0.0]))
    assert done.failure is None
    assert "its upload never ends" in reasons(done, "lost")[1]


@functools.cache
def healthy_under(tiny, policy):
    """The run of clients who are all well, the same whatever another run's sick one has."""
    return run(tiny(**settings(compression__policy=policy, protocol__rounds=6)), Learner())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("wrong", ["loss", "told", 1e6, np.inf, np.nan])
def test_an_update_that_nobody_could_use_is_rejected_under_every_policy(tiny, policy, wrong):
    loaded = tiny(**settings(compression__policy=policy, protocol__rounds=6))
    healthy = healthy_under(tiny, policy)
    done = run(loaded, Learner(wrong))
    assert done.failure is None
    assert healthy.facts["accounts"]["rejected"] == 0
    assert done.facts["accounts"]["selected"] == healthy.facts["accounts"]["selected"]
    asked = (healthy.records.query("kind == 'receive'")["client"] == SICK).sum()
    assert done.facts["accounts"]["rejected"] == asked > 0
    assert done.facts["troubles"] == {"its training diverged": asked}
    who, why = reasons(done, "rejected")
    assert who == {SICK}
    assert all(text.startswith(f"client {SICK}, round ") for text in why)
    assert all(np.isfinite(values).all() for values in done.adapter.values())
    # Nothing of it was sent.
    assert SICK not in set(done.records.query("kind == 'upload'")["client"])


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("selection", ["uniform", "oort", "power-of-choice"])
@pytest.mark.parametrize("wrong", ["loss", "told"])
def test_a_client_whose_loss_is_not_finite_ends_no_run(tiny, kind, selection, wrong):
    loaded = tiny(**settings(kind, protocol__selection=selection, protocol__rounds=20))
    done = run(loaded, Learner(wrong))
    assert done.failure is None
    assert done.facts["accounts"]["aggregated"] >= 20
    assert done.facts["accounts"]["rejected"] == done.facts["troubles"]["its training diverged"]


def test_an_update_that_the_policy_cannot_express_is_that_clients_trouble(tiny):
    """What error feedback adds up may be too large where no update is."""
    loaded = tiny(**settings(compression__policy="topk", compression__ratio=0.01,
                             compression__error_feedback=True))  # fmt: skip
    done = run(loaded, Learner(6e4))
    assert done.failure is None
    assert done.facts["troubles"].keys() == {"its update cannot be encoded"}
    assert reasons(done, "rejected")[0] == {SICK}


def test_an_adapter_that_cannot_be_sent_any_more_ends_the_run_with_a_reason(tiny):
    server = {"downlink_policy": "float16", "optimizer": {"kind": "fedavgm", "lr": 1e7}}
    done = run(tiny(**settings(server=server)))
    assert "the global adapter of version 1 cannot be sent (server.downlink_policy: float16)" in (
        done.failure
    )
    assert done.facts["accounts"]["aggregated"] == 3


def test_an_adapter_that_is_not_finite_any_more_ends_the_run_with_a_reason(tiny):
    """Each coordinate of the update can be told, but not a hundred times as much."""
    server = {"optimizer": {"kind": "fedavgm", "lr": 100}}
    world = SimulatedWorld(tiny(**settings(server=server)), Learner())
    update = {name: np.full_like(values, 1e37) for name, values in world.adapter.items()}
    with pytest.raises(NothingLeft, match="the global adapter is not finite after update 1"):
        world.close_round(1, 0.0, [ClientUpdate(0, 1.0, update, base=world.adapter)], selected=[0])

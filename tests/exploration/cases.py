"""Random scenarios, with the files that they read and what their clients are to learn."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import yaml
from hypothesis import strategies as st

from fsim.algorithms import ALGORITHMS
from fsim.compression import POLICIES, make_policy
from fsim.fleet import DEVICES, RADIOS, UPLINK_POWER
from fsim.fleet.availability import Moment
from fsim.network.links.staircase import PastEnd
from fsim.network.transports.interruption import Rule
from fsim.network.transports.transports import TRANSPORTS
from fsim.server.aggregation import AGGREGATIONS
from fsim.server.optimizers import OPTIMIZERS, FedAvg
from fsim.server.protocols import PROTOCOLS, RoundProtocol
from fsim.server.screening import Screen
from fsim.server.selection import SELECTORS
from fsim.settings.fleet import AvailabilitySettings
from fsim.settings.loading import LoadedScenario, check_scenario
from tests.exploration.learner import OVERFLOWS, Learning
from tests.exploration.options import chosen_from, made, options_of

Data = dict[str, Any]

EXACT = ("float32", "float16", "bfloat16")
"""Policies under which a tag arrives as it was sent, and a zero as a zero."""

AVAILABILITIES = tuple(
    get_args(kind.model_fields["kind"].annotation)[0]
    for kind in get_args(get_args(AvailabilitySettings)[0])
)
"""Every kind there is, by its name."""

DURATIONS = ("10 ms", "1 s", "7 s", "30 s", "5 min", "2 h")
DURATION_LAWS = (
    *DURATIONS, "uniform(0 s, 20 s)", "lognormal(10 s, 1)", "lognormal(1 s, 3)", "exponential(40 s)"
)  # fmt: skip
ROUND_TRIPS = ("0 s", "50 ms", "50 ms", "2 s", "uniform(0 s, 1 s)", "exponential(100 ms)")
RATES = (
    "10 kB/s", "1 MB/s", "1 GB/s", "1 Mbit/s", "100 B/s", "2 B/s", "uniform(0 B/s, 20 kB/s)",
    "lognormal(10 kB/s, 2)", "exponential(5 kB/s)",
)  # fmt: skip
SHARED_RATES = ("1 kB/s", "20 kB/s", "1 MB/s", "50 B/s")
KEEPALIVES = ("flower", "grpc", {"time": "1 s", "timeout": "1 s"}, {"time": "20 s"})
SHARES = (0.0, 0.05, 0.3, 0.7, 1.0)
ZONES = ({0.0: 1.0}, {-8.0: 1.0, 0.0: 2.0, 9.0: 1.0})


@dataclass(frozen=True)
class Case:
    """A scenario that can be run.

    Attributes
    ----------
    data
        The scenario, as its YAML would have it.
    files
        Name -> text of the files that it names.
    learning
        What its clients are to learn.
    """

    data: Data
    files: dict[str, str]
    learning: Learning

    def to_yaml(self) -> str:
        """All of it; :meth:`from_yaml` is the inverse."""
        whole = {"scenario": self.data, "files": self.files, "learning": self.learning.to_data()}
        return yaml.safe_dump(json.loads(json.dumps(whole)), sort_keys=False)

    @classmethod
    def from_yaml(cls, text: str) -> Case:
        """From what :meth:`to_yaml` gave."""
        whole = yaml.safe_load(text)
        zones = whole["scenario"]["fleet"].get("availability", {}).get("time_zones")
        if zones:  # JSON has made texts of the keys
            whole["scenario"]["fleet"]["availability"]["time_zones"] = {
                float(zone): share for zone, share in zones.items()
            }
        return cls(whole["scenario"], whole["files"], Learning.of(whole["learning"]))

    def load(self, folder: Path) -> LoadedScenario:
        """The scenario, checked, with its files written to a folder.

        Raises
        ------
        ScenarioError
            It is refused.
        """
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return check_scenario(self.data, "explored", (folder,))


def sometimes(strategy: st.SearchStrategy[Any], otherwise: Any = None) -> st.SearchStrategy[Any]:
    """The strategy in every third case or so, which shrinks to what it is otherwise."""
    return st.integers(0, 5).flatmap(lambda at: strategy if at > 3 else st.just(otherwise))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """All scenarios that the settings allow, small ones."""
    files: dict[str, str] = {}
    clients = draw(st.integers(1, 9))
    at_a_time = draw(st.integers(1, min(clients, 4)))
    protocol = draw(_protocols(clients, at_a_time))
    tagged = draw(st.sampled_from((False, False, True)))
    policies = {name: POLICIES[name] for name in EXACT} if tagged else POLICIES
    compression = draw(chosen_from(policies, "policy"))
    server = draw(_servers(tagged, _protocol_of(protocol)))
    training = draw(_trainings())
    transport = draw(chosen_from(TRANSPORTS))
    correction = draw(sometimes(chosen_from(_corrections(protocol, transport))))
    if correction is not None:
        training["optimizer"] = "sgd"
        server["aggregation"] = {"kind": "fedavg", "weights": "equal"}
        server["correction"] = correction
    fleet = draw(_fleets(clients, files))
    server |= draw(_queues(server, ("ingress", "egress"), transport))
    if fleet["cells"] is not None:
        fleet["cells"] |= draw(_queues(fleet["cells"], ("uplink", "downlink"), transport))
    name, options = compression["policy"], {k: v for k, v in compression.items() if k != "policy"}
    if make_policy(name, options).keeps_to_budget:
        compression["upload_seconds"] = draw(st.sampled_from((None, "5 s", "1 min", "10 ms")))
    data: Data = {
        "name": "explored",
        "seed": draw(st.integers(0, 2**32 - 1)),
        "training": training,
        "fleet": fleet,
        "transport": transport,
        "protocol": protocol,
        "server": server,
        "compression": compression,
        "evaluation": {"every": draw(st.sampled_from((1, 1, 2, 3)))},
        "billing": {
            "adapter_parameters": draw(sometimes(st.sampled_from((1, 100, 5000)))),
            "model_parameters": draw(sometimes(st.sampled_from((1, 10**6, 10**9)))),
        },
        "failures": {
            "corrupted": draw(sometimes(st.sampled_from(SHARES), 0.0)),
            "duplicated": draw(sometimes(st.sampled_from(SHARES), 0.0)),
            "clock_skew": draw(sometimes(st.sampled_from(("1 s", "2 min")), "0 s")),
        },
        "target": {
            "value": draw(st.sampled_from((0.999, 0.8, 0.3))),
            "window": draw(st.integers(1, 3)),
        },
    }
    return Case(data, files, draw(_learnings(clients, tagged)))


def _corrections(protocol: Data, transport: Data) -> dict[str, type]:
    """Those that are not refused because of one of these."""
    made_of = _protocol_of(protocol)
    refused = set()
    if not made_of.in_its_round or transport["kind"] == "datagram":
        refused |= {"scaffold", "feddyn"}
    if not made_of.averages:
        refused.add("fednova")
    return {name: kind for name, kind in ALGORITHMS.items() if name not in refused}


def _protocol_of(data: Data) -> RoundProtocol:
    kind = PROTOCOLS[data["kind"]]
    named = {field.name for field in dataclasses.fields(kind)}
    protocol: RoundProtocol = made(kind, {k: v for k, v in data.items() if k in named})
    return protocol


@st.composite
def _learnings(draw: st.DrawFn, clients: int, tagged: bool) -> Learning:
    sizes = st.lists(st.integers(1, 40), min_size=clients, max_size=clients)
    # What is at the edge enters, and no tag could be read beside it.
    overflows = [name for name in OVERFLOWS if not (tagged and name == "edge")]
    return Learning(
        examples=tuple(draw(sizes)),
        operations=draw(st.sampled_from((1e12, 1e9, 1e13, 0.0))),
        tagged=tagged,
        diverging=draw(sometimes(sometimes(st.sampled_from((0.3, 0.1, 1.0)), 0.0), 0.0)),
        overflowing=draw(sometimes(sometimes(st.sampled_from((0.3, 0.7, 1.0)), 0.0), 0.0)),
        overflow=draw(st.sampled_from(overflows)),
        remembered=draw(st.booleans()),
    )


@st.composite
def _protocols(draw: st.DrawFn, clients: int, at_a_time: int) -> Data:
    def fits(made: RoundProtocol) -> None:
        made.check(clients, at_a_time)

    kinds = {name: kind for name, kind in PROTOCOLS.items() if _possible(kind, clients, at_a_time)}
    return {
        **draw(chosen_from(kinds, fits=fits)),
        "clients_per_round": at_a_time,
        "rounds": draw(st.integers(1, 6)),
        "keepalive": draw(st.sampled_from(KEEPALIVES)),
        "selection": draw(chosen_from(SELECTORS)),
        "ask": draw(st.sampled_from(("available", "all"))),
        "stop": {
            "at_target": draw(sometimes(st.just(True), False)),
            "after": draw(sometimes(st.sampled_from(("0 s", "20 s", "10 min", "1 d")))),
            "uplink": draw(sometimes(st.sampled_from(("0 B", "2 kB", "1 MB")))),
            "without_update": draw(st.sampled_from(("10 min", "1 min", "3 h", "7 d"))),
        },
    }


def _possible(kind: type[RoundProtocol], clients: int, at_a_time: int) -> bool:
    """Whether a protocol can be had with so few clients, whatever its options."""
    return clients > 1 or kind.name != "tiered"


@st.composite
def _servers(draw: st.DrawFn, tagged: bool, protocol: RoundProtocol) -> Data:
    def averages(aggregation: Any) -> None:
        if getattr(aggregation, "denominator", "") == "selected" and not protocol.of_its_cohort:
            raise ValueError("updates of several cohorts")

    optimizers = OPTIMIZERS if protocol.uses_optimizer else {"fedavg": FedAvg}

    def moves(optimizer: Any) -> None:
        if not protocol.uses_optimizer and optimizer != FedAvg():
            raise ValueError("a step that nobody takes")

    downlink = {name: POLICIES[name] for name in EXACT} if tagged else POLICIES
    crash = st.fixed_dictionaries(
        {
            "at": st.sampled_from(DURATIONS),
            "down": st.sampled_from(("0 s", *DURATIONS)),
            "in_flight": st.sampled_from(("lost", "kept")),
            "selection": st.sampled_from(("kept", "lost")),
        }
    )
    return {
        "aggregation": draw(chosen_from(AGGREGATIONS, fits=averages)),
        "optimizer": draw(chosen_from(optimizers, fits=moves)),
        "screen": draw(sometimes(options_of(Screen), {})),
        "downlink": draw(st.sampled_from(("adapter", "delta"))),
        "downlink_policy": draw(sometimes(chosen_from(downlink), {"kind": "float32"})),
        "ingress": draw(sometimes(st.sampled_from(SHARED_RATES))),
        "egress": draw(sometimes(st.sampled_from(SHARED_RATES))),
        "crashes": draw(sometimes(st.lists(crash, min_size=1, max_size=2), [])),
    }


@st.composite
def _queues(draw: st.DrawFn, section: Data, links: tuple[str, ...], transport: Data) -> Data:
    """Queues of those of a section's links that have a capacity, if senders have windows."""
    if not TRANSPORTS[transport["kind"]].has_windows:
        return {}
    sizes = sometimes(st.sampled_from(("1500 B", "20 kB", "1 MB")))
    return {f"{link}_queue": draw(sizes) for link in links if section.get(link) is not None}


@st.composite
def _trainings(draw: st.DrawFn) -> Data:
    work = draw(st.sampled_from(({"local_steps": 1}, {"local_steps": 3}, {"local_epochs": 1.5})))
    return {**work, "batch_size": draw(st.sampled_from((4, 1, 50)))}


@st.composite
def _fleets(draw: st.DrawFn, clients: int, files: dict[str, str]) -> Data:
    devices = draw(st.lists(st.sampled_from(list(DEVICES)), min_size=1, max_size=2, unique=True))
    cells = st.fixed_dictionaries(
        {
            "count": st.integers(1, 3),
            "uplink": st.sampled_from(SHARED_RATES),
            "downlink": st.sampled_from((None, *SHARED_RATES)),
        }
    )
    return {
        "clients": clients,
        "devices": dict.fromkeys(devices, 1.0),
        "seconds_per_step": draw(
            sometimes(st.sampled_from(({devices[0]: "0 s"}, {devices[0]: "4 s"})), {})
        ),
        "uplink": draw(_links("up", files)),
        "downlink": draw(_links("down", files)),
        "availability": draw(_availabilities(files)),
        "when_away": draw(st.sampled_from(get_args(Rule))),
        "silent_losses": draw(st.sampled_from(SHARES)),
        "uplink_power": draw(st.sampled_from(("constant", *UPLINK_POWER))),
        "count_waiting": draw(st.booleans()),
        "cells": draw(sometimes(cells)),
        "radio": draw(sometimes(st.sampled_from(list(RADIOS)), "none")),
    }


@st.composite
def _links(draw: st.DrawFn, name: str, files: dict[str, str]) -> Data:
    link: Data = {"round_trip": draw(st.sampled_from(ROUND_TRIPS))}
    if not draw(sometimes(st.just(True), False)):
        return {**link, "rate": draw(st.sampled_from(RATES))}
    lengths = draw(st.lists(st.sampled_from((1.0, 10.0, 100.0)), min_size=2, max_size=5))
    rates = [draw(st.sampled_from((1000.0, 0.0, 50.0, 1e6))) for _ in lengths]
    if not any(rates):
        rates[0] = 100.0
    rows = [f"{sum(lengths[:at])!r},{rate!r}" for at, rate in enumerate(rates)]
    files[f"{name}.csv"] = "\n".join(["time_s,rate_byte_s", *rows]) + "\n"
    return {
        **link,
        "trace": f"{name}.csv",
        "past_end": draw(st.sampled_from((*get_args(PastEnd), "loop", "hold", "loop"))),
        "mean": draw(sometimes(st.sampled_from(RATES))),
        "offset": draw(st.sampled_from(("random", "none", "3 s", "10 min"))),
    }


@st.composite
def _availabilities(draw: st.DrawFn, files: dict[str, str]) -> Data:
    kind = draw(st.sampled_from(AVAILABILITIES))
    return {"kind": kind, **draw(_AVAILABILITY[kind](files))}


@st.composite
def _recordings(draw: st.DrawFn, files: dict[str, str]) -> Data:
    """FLASH's file of one to three clients, each on and off a few times."""
    seconds = st.sampled_from((1, 5, 60, 4000))
    clients = {}
    for client in range(draw(st.integers(1, 3))):
        now, told = datetime(2020, 1, 1), []

        def tell(event: str, now: datetime, told: list[str] = told) -> None:
            told.append(f"{now:%Y-%m-%d %H:%M:%S}\t{event}")

        tell("battery_charged_on", now)
        tell("wifi", now)
        for _ in range(draw(st.integers(1, 3))):
            now += timedelta(seconds=draw(seconds))
            tell("screen_off", now)
            now += timedelta(seconds=draw(seconds))
            tell("screen_on", now)
        clients[str(client)] = {"messages": "\n".join(told) + "\n"}
    files["states.json"] = json.dumps(clients)
    return {"path": "states.json", "offset": draw(st.sampled_from(("none", "random")))}


def _alternating(laws: tuple[str, ...]) -> st.SearchStrategy[Data]:
    return st.fixed_dictionaries({"on": st.sampled_from(laws), "off": st.sampled_from(laws)})


_AVAILABILITY = {
    "always": lambda files: st.just({}),
    "dropout": lambda files: st.fixed_dictionaries(
        {
            "probability": st.sampled_from((0.3, 0.05, 0.9, 0.999999)),
            "moment": st.sampled_from(get_args(Moment)),
        }
    ),
    "on-off": lambda files: _alternating(DURATIONS),
    "renewal": lambda files: _alternating(DURATION_LAWS),
    "diurnal": lambda files: st.fixed_dictionaries(
        {
            "probability": st.sampled_from((0.8, 0.1, 1.0)),
            "start": st.sampled_from(("23 h", "0 h", "12 h")),
            "duration": st.sampled_from(("7 h", "1 min", "12 h")),
            "time_zones": st.sampled_from(ZONES),
        }
    ),
    "traced": _recordings,
}

"""Runs to be recorded and played: policies, links, doors and protocols, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

POLICIES = ("float16", "qsgd:bits=4", "topk", "signsgd", "fstq", "powersgd", "masked-sign")
UPLINKS = (1, 2, 4, 8)
"""Mbit/s on average over clients."""

DOWNLINKS = (5, 10, 20)
ROUND_TRIPS = (20, 50, 80, 120, 200)
"""Milliseconds."""

INGRESSES = (None, None, 3, 6)
EGRESSES = (None, None, 10, 20)
"""Mbit/s of the server's door."""

RANKS = (2, 4, 8)


@dataclass(frozen=True)
class Case:
    """One run.

    Attributes
    ----------
    scenario
        As nested mappings, all but the transport's ``tls``.
    fresh
        Whether each transfer has a connection of its own.
    text
        The draw, in words.
    """

    scenario: dict[str, Any]
    fresh: bool
    text: str


def draw_cases(runs: int, rounds: int, seed: int) -> list[Case]:
    """So many runs of so many rounds each."""
    rng = random.Random(seed)
    return [_draw(rng, rounds, seed + number) for number in range(runs)]


def _draw(rng: random.Random, rounds: int, seed: int) -> Case:
    policy, rank = rng.choice(POLICIES), rng.choice(RANKS)
    up, down = rng.choice(UPLINKS), rng.choice(DOWNLINKS)
    round_trip = rng.choice(ROUND_TRIPS)
    ingress, egress = rng.choice(INGRESSES), rng.choice(EGRESSES)
    clients = rng.randint(4, 8)
    asked = rng.randint(2, clients - 1)
    fresh = rng.random() < 0.25
    protocol: dict[str, Any] = {"kind": "synchronous"}
    if rng.random() < 0.4:
        over = min(1.5, clients / asked)
        protocol = {"kind": "deadline", "over_selection": over, "after": f"{rng.randint(2, 6)} s"}
    doors = {"ingress": ingress, "egress": egress}
    server = {key: f"{rate} Mbit/s" for key, rate in doors.items() if rate is not None}
    trip = f"{round_trip} ms"
    scenario = {
        "name": "twin",
        "seed": seed,
        "task": {"name": "medical", "partition": {"kind": "iid"}, "max_prompt_tokens": 24},
        "model": {"name": "nano", "lora": {"rank": rank, "alpha": 8, "targets": "all-linear"}},
        "training": {"local_steps": 2, "batch_size": 4},
        "fleet": {
            "clients": clients,
            "devices": {"laptop": 1.0},
            "seconds_per_step": {"laptop": "0 s"},
            "uplink": {"rate": f"lognormal({up} Mbit/s, 0.7)", "round_trip": trip},
            "downlink": {"rate": f"{down} Mbit/s", "round_trip": trip},
        },
        "transport": {"kind": "tcp", "connection": "fresh" if fresh else "persistent"},
        "protocol": {**protocol, "clients_per_round": asked, "rounds": rounds},
        "server": server,
        "compression": {"policy": policy},
        "evaluation": {"examples": 20, "every": rounds},
        "target": {"metric": "accuracy", "value": 1.0},
    }
    text = (
        f"{policy}, rank {rank}, {up}/{down} Mbit/s up/down, {round_trip} ms, door "
        f"{ingress or '-'}/{egress or '-'}, {protocol['kind']} {asked} of {clients}"
        f"{', fresh' if fresh else ''}"
    )
    return Case(scenario, fresh, text)

"""Small scenarios that go through every protocol, transport and correction, with what they leave.

Clients have quadratic losses, so that a run takes milliseconds and needs no BLAS: targets are
multiples of 1/8 and the local rate is 1/4, whose arithmetic float32 does exactly on any processor.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from fsim.experiments.grid import make_axis, make_cells
from fsim.settings.loading import LoadedScenario, check_scenario
from fsim.simulation.run import run_world
from fsim.simulation.world import SimulatedWorld
from tests.conftest import ROOT, tiny_data
from tests.simulation.quadratic import QuadraticLearner

CLIENTS, COORDINATES, RATE = 8, 64, 0.25

_BASE: dict[str, Any] = {
    "training": {"optimizer": "sgd", "learning_rate": RATE, "local_steps": 2},
    "fleet__clients": CLIENTS,
    "fleet__devices": {"laptop": 0.5, "phone-low": 0.5},
    "fleet__seconds_per_step": {"laptop": "250 ms", "phone-low": "1 s"},
    "fleet__uplink": {"rate": "lognormal(400 kbit/s, 0.8)", "round_trip": "60 ms"},
    "fleet__downlink": {"rate": "4 Mbit/s", "round_trip": "60 ms"},
    "protocol": {"kind": "synchronous", "clients_per_round": 4, "rounds": 4},
    # An update of 64 coordinates takes as long as one of 100,000.
    "billing": {"adapter_parameters": 100_000},
    "target__value": 0.23,
}


def _protocol(kind: str, **options: Any) -> dict[str, Any]:
    return {"protocol": {**_BASE["protocol"], "kind": kind, **options}}


_EQUAL = {"kind": "fedavg", "weights": "equal"}

SCENARIOS: dict[str, dict[str, Any]] = {
    "synchronous": {"fleet__uplink": {"trace": "traces/lte-driving.csv", "mean": "1 Mbit/s"}},
    "deadline": _protocol(
        "deadline", after="8 s", over_selection=1.0, late="keep", selection="oort", rounds=6
    )
    | {"failures": {"clock_skew": "5 s"}},
    "buffered": _protocol("buffered", buffer=3, rounds=6) | {"compression": {"policy": "topk"}},
    "asynchronous": _protocol("asynchronous", mixing=0.5, rounds=10, staleness="polynomial"),
    "tiered": _protocol("tiered", tiers=2, clients_per_round=2, rounds=8),
    "scaffold": {"server": {"aggregation": _EQUAL, "correction": "scaffold"}},
    "fednova": {
        "server": {"correction": "fednova", "optimizer": {"kind": "fedavgm", "momentum": 0.5}},
        "training": {"optimizer": "sgd", "learning_rate": RATE, "local_epochs": 0.5,
                     "batch_size": 8},
        "protocol": _BASE["protocol"] | {"selection": "data-size"},
    },
    "datagram": {"transport": {"kind": "datagram", "loss": 0.2}},
    "cells": {
        "fleet__cells": {"count": 2, "uplink": "600 kbit/s"},
        "server__ingress": "1 Mbit/s",
        "server__egress": "6 Mbit/s",
        "transport": {"kind": "arq", "loss": 0.05},
    },
    "disasters": _protocol(
        "deadline", after="12 s", over_selection=1.5, minimum=2, rounds=10,
        keepalive={"time": "4 s", "timeout": "2 s"},
    )
    | {
        "server__crashes": [
            {"at": "5 s", "down": "4 s", "in_flight": "kept"},
            {"at": "40 s", "down": "10 s", "in_flight": "lost", "selection": "lost"},
        ],
        "server__screen": {"most_ratio": 10},
        "failures": {"corrupted": 0.2, "duplicated": 0.2, "clock_skew": "6 s"},
        "fleet__availability": {"kind": "renewal", "on": "exponential(20 s)",
                                "off": "exponential(10 s)"},
        "fleet__when_away": "lost",
        "fleet__silent_losses": 0.5,
    },
    "waiting": _protocol("synchronous", ask="all", selection="round-robin")
    | {
        "fleet__availability": {"kind": "on-off", "on": "10 s", "off": "10 s"},
        "fleet__when_away": "restart",
        "fleet__uplink_power": "lte",
    },
    "radio": {
        "fleet__radio": "lte",
        "fleet__availability": {"kind": "on-off", "on": "20 s", "off": "20 s"},
        "fleet__seconds_per_step": {"laptop": "1 s", "phone-low": "8 s"},
    },
    "delta": {"server": {"downlink": "delta", "downlink_policy": "qsgd:bits=4"}},
}  # fmt: skip
"""Name -> how a scenario differs from the base."""

AXES = {
    "fleet.uplink": [{"trace": "traces/3g-subway.csv"}, {"rate": "lognormal(1 Mbit/s, 0.5)"}],
    "compression.policy": ["float32", "qsgd:bits=8"],
}
"""Of the sweep whose cells are run too, as ``sweep-1`` to ``sweep-4``."""


def load_all(folder: Path) -> dict[str, LoadedScenario]:
    """All scenarios by name, those of the sweep from a file in that folder."""
    loaded = {
        name: check_scenario(tiny_data(**_BASE | changes), name, (ROOT,))
        for name, changes in SCENARIOS.items()
    }
    path = folder / "sweep.yaml"
    links = {"fleet__uplink": {"rate": "1 Mbit/s"}}
    path.write_text(yaml.safe_dump(tiny_data(**_BASE | links)), encoding="utf-8")
    axes = [make_axis(key, [_found(each) for each in values], ()) for key, values in AXES.items()]
    for number, cell in enumerate(make_cells(path, [], axes), 1):
        loaded[f"sweep-{number}"] = cell.loaded
    return loaded


def _found(value: Any) -> Any:
    """A value whose trace is found from wherever tests are run."""
    if isinstance(value, dict) and "trace" in value:
        return value | {"trace": str(ROOT / value["trace"])}
    return value


def outcome(loaded: LoadedScenario) -> dict[str, Any]:
    """Everything that a run leaves, as JSON has it."""
    rng = np.random.default_rng(7)
    learner = QuadraticLearner(
        curvatures=[2.0 ** (client % 3 - 1) for client in range(CLIENTS)],
        targets=rng.integers(-4, 5, (CLIENTS, COORDINATES)) / 8,
        rate=RATE,
        policy=loaded.scenario.compression.make(),
        examples=[16 * (client + 1) for client in range(CLIENTS)],
    )
    run = run_world(SimulatedWorld(loaded, learner))
    return {
        "accounts": run.facts["accounts"],
        "failure": run.failure,
        "metrics": run.metrics.as_dict(),
        "adapter": {name: array.ravel().tolist() for name, array in run.adapter.items()},
        "evaluations": run.evaluations.to_dict(orient="records"),
        "records": _records(run.records),
    }


def _records(records: pd.DataFrame) -> list[dict[Any, Any]]:
    rows = records.to_dict(orient="records")
    for row in rows:
        row["details"] = json.loads(row["details"] or "{}")
    return rows


def as_text(result: dict[str, Any]) -> str:
    """A result as its file has it: a line for each row, so that a change can be read."""
    parts = []
    for key, value in result.items():
        if isinstance(value, list):
            rows = ",\n  ".join(json.dumps(row) for row in value)
            parts.append(f'"{key}": [\n  {rows}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def differences(expected: Any, result: Any, place: str = "") -> list[str]:
    """Where two results are not the same: each place, with what was expected and what came.

    Numbers of JSON that are whole (counts, bytes, rounds) and texts agree exactly. Seconds and
    joules agree to 1e-9 of their size, since a draw of a law goes through the machine's own
    exponential; coordinates of the adapter to 1e-6, of float32.
    """
    if isinstance(expected, dict) and isinstance(result, dict):
        return [
            each
            for key in {**expected, **result}
            for each in differences(expected.get(key), result.get(key), f"{place}.{key}")
        ]
    if isinstance(expected, list) and isinstance(result, list):
        lengths = [f"{place}: {len(expected)} rows, now {len(result)}"]
        return (lengths if len(expected) != len(result) else []) + [
            each
            for number, pair in enumerate(zip(expected, result, strict=False))
            for each in differences(*pair, f"{place}[{number}]")
        ]
    if isinstance(expected, float) and isinstance(result, int | float):
        share = 1e-6 if place.startswith(".adapter") else 1e-9
        if math.isclose(expected, result, rel_tol=share, abs_tol=share):
            return []
    elif type(expected) is type(result) and expected == result:
        return []
    return [f"{place}: {expected!r}, now {result!r}"]

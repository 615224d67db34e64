"""Folders of results as a run leaves them, of made-up numbers, quickly."""

import json

import numpy as np
import yaml

from fsim.records import SERVER, Kind, Recorder
from fsim.results.metrics import measure
from fsim.results.saving import write_run

TARGET = 0.5


def recorder(seed=0, rounds=6, clients=4, payload=1000, pace=0.3, lost=None, sections=None):
    """A synchronous run: client c of a round takes 1 s down, 2 s of work, and its share up."""
    rng = np.random.default_rng(seed)
    made, now = Recorder(), 0.0
    made.evaluation(now, 0, 0.0, 3.0, np.exp(3.0), 0.1, {"en": 0.0, "fi": 0.0})
    for number in range(1, rounds + 1):
        began, ends = now, []
        for client in range(clients):
            upload = float(rng.lognormal(np.log(payload / 500), 0.6))
            made.record(Kind.DOWNLOAD, began, 1.0, client, number, 4 * payload, 1.0)
            made.record(Kind.COMPUTE, began + 1, 2.0, client, number, 0, 8.0)
            if lost == (number, client):
                made.record(Kind.LOST, began + 3, 30.0, client, number)
                ends.append(began + 33)
                continue
            details = {"payload": sections} if sections else None
            made.record(
                Kind.UPLOAD, began + 3, upload, client, number, payload, 2 * upload, details
            )
            made.record(Kind.RECEIVE, began + 3 + upload, 0.0, client, number, payload)
            ends.append(began + 3 + upload)
        now = max(ends)
        made.record(Kind.ROUND, began, now - began, SERVER, number)
        accuracy = float(np.clip(1 - np.exp(-pace * number) + rng.normal(0, 0.02), 0, 1))
        loss = 3.0 * float(np.exp(-0.2 * number))
        labels = {"en": accuracy, "fi": accuracy**2}
        made.evaluation(now, number, accuracy, loss, float(np.exp(loss)), 0.5, labels)
    return made


def settings(seed, policy, **more):
    """A scenario as nested settings; keys of ``more`` are dotted with ``__``."""
    tree = {
        "name": "made",
        "seed": seed,
        "fleet": {"clients": 40, "uplink": {"trace": "traces/a.csv"}},
        "protocol": {"kind": "synchronous", "clients_per_round": 4, "rounds": 6},
        "compression": {"policy": policy},
    }
    for key, value in more.items():
        *places, last = key.split("__")
        inner = tree
        for place in places:
            inner = inner.setdefault(place, {})
        inner[last] = value
    return tree


def write_made(folder, policy="float16", seed=0, facts=None, status="completed", **options):
    """Write a run's folder; options with ``__`` are settings, the others :func:`recorder`'s."""
    folder.mkdir(parents=True)
    changed = {key: value for key, value in options.items() if "__" in key}
    made = recorder(seed, **{k: v for k, v in options.items() if "__" not in k})
    records, evaluations = made.records(), made.evaluations()
    summary = {
        "name": "made",
        "label": policy,
        "status": status,
        "failure": None if status == "completed" else "the sky fell",
        "task": "multilingual",
        "metric": "exact_match",
        "target": TARGET,
        "metrics": measure(records, evaluations, TARGET).as_dict(),
        "facts": {"billed_bytes_factor": 1.0, "billed_operations_factor": 1.0, **(facts or {})},
        "scenario_sha256": "0",
        "versions": {"fsim": "0.1.0"},
    }
    text = yaml.safe_dump(settings(seed, policy, **changed), sort_keys=False)
    write_run(folder, text, records, evaluations, summary, lambda place: place.mkdir())
    return folder


def rewrite_summary(folder, **changes):
    """Change a run's summary in its file."""
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

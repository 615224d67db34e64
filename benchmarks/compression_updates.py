"""Updates to compress: drawn ones, and those of real clients."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fsim.core.types import Layout, SensitivitySettings, TrainingRequest, Update

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "quickstart.yaml"


@dataclass(frozen=True)
class Sample:
    """An update and its Fisher."""

    name: str
    update: Update
    fisher: Update

    @property
    def layout(self) -> Layout:
        """Of both."""
        return Layout.of(self.update)

    def distortion(self, decoded: Update) -> float:
        """What is left of the Fisher-weighted square: 1 if nothing arrived."""
        left = whole = 0.0
        for key, values in self.update.items():
            fisher = self.fisher[key].astype(np.float64)
            left += float(np.sum(fisher * (values - decoded[key]) ** 2))
            whole += float(np.sum(fisher * values.astype(np.float64) ** 2))
        return left / whole


def synthetic(size: int, seed: int) -> Sample:
    """Laplacian values in 16 equal matrices, their Fisher log-normal with sigma 2."""
    rng = np.random.default_rng(seed)
    names = [f"matrix{number:02}" for number in range(16)]
    shape = (8, size // 128)
    return Sample(
        f"synthetic {seed}",
        {key: (1e-3 * rng.laplace(size=shape)).astype(np.float32) for key in names},
        {key: rng.lognormal(sigma=2, size=shape).astype(np.float32) for key in names},
    )


def real(say: Callable[[str], None]) -> list[Sample]:
    """Updates of two clients in rounds 1 and 5 of the quickstart; trained once, then kept."""
    digest = zlib.crc32(SCENARIO.read_bytes())
    path = Path(tempfile.gettempdir()) / f"fsim-benchmark-updates-{digest:08x}.npz"
    if not path.is_file():
        say("training clients of the quickstart")
        found = _train()
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as file:
            np.savez(file, **found)  # type: ignore[arg-type]
        Path(file.name).replace(path)
    samples: dict[tuple[str, str], tuple[Update, Update]] = {}
    with np.load(path) as stored:
        for key in stored.files:
            what, number, client, name = key.split("|", 3)
            pair = samples.setdefault((number, client), ({}, {}))
            pair[what == "f"][name] = stored[key]
    return [Sample(f"round {key[0]}, client {key[1]}", *pair) for key, pair in samples.items()]


def _train() -> dict[str, Any]:
    from fsim.core.rng import stream
    from fsim.data.encoding import BatchShape, draw_batches
    from fsim.server.aggregation import add, fedavg
    from fsim.settings.loading import load_scenario
    from fsim.simulation.build import prepare_task
    from fsim.training.trainer import Trainer, TrainingJob

    loaded = load_scenario(SCENARIO)
    prepared, training = prepare_task(loaded), loaded.scenario.training
    rows = [row for shard in prepared.shards for row in shard]
    shape = BatchShape.of(rows, training.batch_size)
    trainer = Trainer(prepared.adapted, shape, training, TrainingRequest(SensitivitySettings()), 4)
    adapter, found = prepared.adapted.initial, {}
    for number in range(1, 6):
        tickets = []
        for client in range(4):
            place = (7 * number + 9 * client) % len(prepared.shards)
            rng = stream(0, "learning.batches", place, number)
            shard = prepared.shards[place]
            batches = draw_batches(shard, training.steps(len(shard)), training.batch_size, rng)
            tickets.append(trainer.submit(TrainingJob(place, number, adapter, batches)))
        results = [trainer.result(ticket) for ticket in tickets]
        for client, result in enumerate(results[:2] if number in (1, 5) else []):
            for name in result.delta:
                found[f"d|{number}|{client}|{name}"] = result.delta[name]
                found[f"f|{number}|{client}|{name}"] = (result.fisher or {})[name]
        adapter = add(adapter, fedavg([result.delta for result in results], [1.0] * len(results)))
    return found

"""A run in TensorBoard's event files (``pip install fsim[tensorboard]``)."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from fsim.trackers.base import Row, Tracker, numbers, run_name


@dataclass(eq=False)
class TensorBoardTracker(Tracker):
    """Scalars ``evaluation/...`` and ``round/...`` by round, for ``tensorboard --logdir PLACE``.

    The horizontal axis "Relative" shows simulated time: each point's wall time is the run's
    beginning and the simulated seconds since. Values are float32, as TensorBoard keeps them: seven
    digits of bytes and seconds.

    Attributes
    ----------
    place
        A folder. The run gets one of its own below it, ``NAME-POLICY-seed-SEED``, with a number
        after it where that is there already, and in it ``scenario.json`` beside the events.
    """

    name: ClassVar[str] = "tensorboard"
    packages: ClassVar[tuple[str, ...]] = ("tensorboard",)

    place: str | Path = "runs/tensorboard"

    def __post_init__(self) -> None:
        self._began = 0.0
        self._writer: Any = None

    @override
    def start(self, scenario: Row) -> None:
        from tensorboard.summary import Writer

        folder = _new_folder(Path(self.place) / run_name(scenario))
        text = json.dumps(scenario, indent=1, ensure_ascii=False) + "\n"
        (folder / "scenario.json").write_text(text, encoding="utf-8")
        self._began = time.time()
        self._writer = Writer(str(folder))

    @override
    def evaluation(self, row: Row) -> None:
        self._write("evaluation", row)

    @override
    def round(self, row: Row) -> None:
        self._write("round", row)

    @override
    def finish(self, summary: Row) -> None:
        """Write the metrics as ``summary/...``, at step 0."""
        for name, value in numbers("summary", summary.get("metrics", {})).items():
            self._writer.add_scalar(name, value, 0)
        self._writer.close()

    def _write(self, prefix: str, row: Row) -> None:
        wall_time = self._began + row["time_s"]
        for name, value in numbers(prefix, row).items():
            self._writer.add_scalar(name, value, row["round"], wall_time=wall_time)
        # Rounds are far apart, and whoever watches wants to see the last one.
        self._writer.flush()


def _new_folder(first: Path) -> Path:
    """A folder that was not there before: the events of two runs in one would be one zigzag."""
    folder, number = first, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = first.with_name(f"{first.name}-{number}")

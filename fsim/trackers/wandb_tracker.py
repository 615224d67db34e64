"""A run in Weights & Biases' own files, offline (``pip install fsim[wandb]``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from fsim.trackers.base import Row, Tracker, numbers, run_name

PROJECT = "fsim"


@dataclass(eq=False)
class WandbTracker(Tracker):
    """Settings as the configuration, ``evaluation/...`` and ``round/...`` by round.

    Offline: nothing leaves this machine unless ``wandb sync PLACE/wandb/offline-run-*`` is called.
    The machine's name, hardware and packages, and a git repository's state, are left out. wandb
    writes in a process of its own: its file is whole when this process has ended, or after
    ``wandb.teardown()``, and not yet when :meth:`finish` returns.

    Attributes
    ----------
    place
        A folder, in which wandb makes its own ``wandb``.
    """

    name: ClassVar[str] = "wandb"
    packages: ClassVar[tuple[str, ...]] = ("wandb",)

    place: str | Path = "runs/wandb"

    def __post_init__(self) -> None:
        self._run: Any = None

    @override
    def start(self, scenario: Row) -> None:
        import wandb

        Path(self.place).mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=PROJECT,
            name=run_name(scenario),
            dir=str(Path(self.place)),
            config=dict(scenario),
            # A run that the caller has open stays theirs.
            reinit="create_new",
            settings=wandb.Settings(
                mode="offline",
                host="",
                silent=True,
                console="off",
                save_code=False,
                disable_code=True,
                disable_git=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )

    @override
    def evaluation(self, row: Row) -> None:
        self._run.log(numbers("evaluation", row), step=row["round"])

    @override
    def round(self, row: Row) -> None:
        self._run.log(numbers("round", row), step=row["round"])

    @override
    def finish(self, summary: Row) -> None:
        """Write the metrics as ``summary/...`` of the summary."""
        self._run.summary.update(numbers("summary", summary.get("metrics", {})))
        self._run.summary.update({"status": summary["status"], "failure": summary.get("failure")})
        self._run.finish(exit_code=0 if summary["status"] == "completed" else 1)

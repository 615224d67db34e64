"""Claims of the paper on Fed-FSTQ over FedAvg, each with the figure that came out here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fsim.audit import published as paper
from fsim.audit.experiments import (
    ABLATIONS,
    ALPHA,
    CLIENTS,
    DROPOUT,
    INFERENCE,
    LOSS,
    POWER,
    ROUND,
    TIME,
    UPLINK,
    Experiment,
)
from fsim.audit.measured import Measurement, parts_of, setting

FEDAVG, FSTQ = "float16", "fstq"
"""The policies here that are the paper's FedAvg-LoRA and Fed-FSTQ."""

UNPRUNED = f"{FSTQ}:tokens=false"
TRANSPORTS = ("datagram", "arq", "tcp")


@dataclass(frozen=True)
class Claim:
    """A claim, and what was measured of it.

    Attributes
    ----------
    experiment
        Where the published figure stands, and what measured it here.
    what
        Ratios are FedAvg's figure over Fed-FSTQ's where nothing else is said; accuracies are in
        points of a hundred.
    published
        As published, or worked out from two published figures.
    here
        The same of the runs that are known; None where they do not give it.
    """

    experiment: Experiment
    what: str
    published: float
    here: float | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "experiment": self.experiment.key,
            "claim": self.what,
            "published": self.published,
            "here": self.here,
        }


def claims(measured: Sequence[Measurement], inference: Sequence[dict[str, Any]]) -> list[Claim]:
    """All claims that a figure of the scenarios answers.

    Parameters
    ----------
    measured
        What runs of the scenarios measured.
    inference
        What each ``fsim infer-bench`` measured.
    """
    runs = _Runs(measured)
    return [
        *_rounds(runs),
        Claim(TIME, "time to the target, ratio", float(paper.SPEED_UP),
              runs.ratio(TIME, "time_to_target")),
        Claim(UPLINK, "uplink to the target, ratio", float(paper.UPLINK_RATIO),
              runs.ratio(UPLINK, "uplink_to_target")),
        *_by_alpha(runs),
        *_by_clients(runs),
        *_by_loss(runs),
        *_by_dropout(runs),
        *_by_power(runs),
        Claim(ABLATIONS, "payload without token pruning over that with it",
              float(paper.PAYLOAD_WITHOUT_PRUNING / paper.PER_ROUND[-1].payload),
              _over(runs.of(ABLATIONS, UNPRUNED, "payload"), runs.of(ABLATIONS, FSTQ, "payload"))),
        *_by_inference(inference),
    ]  # fmt: skip


class _Runs:
    """Measurements by experiment, policy and what else tells a series from the others."""

    def __init__(self, measured: Sequence[Measurement]) -> None:
        self._values = {}
        for each in measured:
            policy, settings = parts_of(each.series)
            self._values[each.experiment, policy, frozenset(settings)] = each.values

    def of(
        self, experiment: Experiment, policy: str, figure: str, **settings: object
    ) -> float | None:
        """A figure of a series; None where it, or the series, is not known."""
        key = frozenset(setting(name, value) for name, value in settings.items())
        return self._values.get((experiment.key, policy, key), {}).get(figure)

    def ratio(self, experiment: Experiment, figure: str, **settings: object) -> float | None:
        """FedAvg's figure over Fed-FSTQ's."""
        return _over(
            self.of(experiment, FEDAVG, figure, **settings),
            self.of(experiment, FSTQ, figure, **settings),
        )

    def accuracy(self, experiment: Experiment, policy: str, **settings: object) -> float | None:
        """Late accuracy of a series."""
        return self.of(experiment, policy, "late_accuracy", **settings)


def _over(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below


def _points(accuracy: float | None, over: float | None) -> float | None:
    return None if accuracy is None or over is None else 100 * (accuracy - over)


def _rounds(runs: _Runs) -> Iterator[Claim]:
    fedavg, fstq = paper.PER_ROUND[0], paper.PER_ROUND[-1]
    yield Claim(ROUND, "payload, ratio", float(paper.PAYLOAD_RATIO), runs.ratio(ROUND, "payload"))
    yield Claim(
        ROUND, "time of a round, ratio (v3)", float(paper.V3_SPEED_UP), runs.ratio(ROUND, "round")
    )
    yield Claim(
        ROUND, "energy of a round, ratio", float(fedavg.energy / fstq.energy),
        runs.ratio(ROUND, "energy"),
    )  # fmt: skip


def _by_alpha(runs: _Runs) -> Iterator[Claim]:
    values = paper.ACCURACY_BY_ALPHA
    for at, alpha in enumerate(paper.ALPHAS):
        gain = 100 * (values[paper.FSTQ][at] - values[paper.FEDAVG][at])
        fstq, fedavg = (runs.accuracy(ALPHA, each, alpha=alpha) for each in (FSTQ, FEDAVG))
        what = f"accuracy over FedAvg's at alpha {alpha}, points"
        yield Claim(ALPHA, what, float(gain), _points(fstq, fedavg))


def _by_clients(runs: _Runs) -> Iterator[Claim]:
    hours = paper.HOURS_BY_CLIENTS
    for at, count in enumerate(paper.CLIENTS):
        ratio = hours[paper.FEDAVG][at] / hours[paper.FSTQ][at]
        yield Claim(
            CLIENTS, f"time to the target with {count} clients, ratio", float(ratio),
            runs.ratio(CLIENTS, "time_to_target", clients=count),
        )  # fmt: skip


def _by_loss(runs: _Runs) -> Iterator[Claim]:
    first, last = (percent / 100 for percent in (paper.LOSS_PERCENT[0], paper.LOSS_PERCENT[-1]))
    for method, policy in ((paper.FEDAVG, FEDAVG), (paper.FSTQ, FSTQ)):
        change = 100 * (paper.ACCURACY_BY_LOSS[method][-1] - paper.ACCURACY_BY_LOSS[method][0])
        for kind in TRANSPORTS:
            yield Claim(
                LOSS, f"{method}: accuracy at {last:.0%} lost packets over that at none, points, "
                f"{kind} here", float(change),
                _points(*(runs.accuracy(LOSS, policy, kind=kind, loss=at) for at in (last, first))),
            )  # fmt: skip


def _by_dropout(runs: _Runs) -> Iterator[Claim]:
    for method, policy in ((paper.FEDAVG, FEDAVG), (paper.FSTQ, FSTQ)):
        lost = dict(zip(paper.DROPOUT_PERCENT, paper.DROP_BY_DROPOUT[method], strict=True))
        for percent in paper.DROPOUT_PERCENT[1:]:
            yield Claim(
                DROPOUT, f"{method}: accuracy at {percent}% dropout over that at none, points",
                float(-100 * lost[percent]),
                _points(*(
                    runs.accuracy(DROPOUT, policy, probability=at / 100) for at in (percent, 0)
                )),
            )  # fmt: skip


def _by_power(runs: _Runs) -> Iterator[Claim]:
    energies = paper.ENERGY_BY_POWER
    for at in (0, -1):
        power = paper.TRANSMIT_W[at]
        yield Claim(
            POWER, f"energy of a round at {power} W, ratio",
            float(energies[paper.FEDAVG][at] / energies[paper.FSTQ][at]),
            runs.ratio(POWER, "energy", transmit_power=f"{power} W"),
        )  # fmt: skip


def _by_inference(inference: Sequence[dict[str, Any]]) -> Iterator[Claim]:
    """Of the learned saliency the row that loses least, of those the quickest."""
    rows = (row for each in inference for row in each["measured"])
    own = [row for row in rows if row["method"] == "fisher-head"]
    least = min(own, key=lambda row: (row["points_lost"], -row["speed_up"]), default=None)
    lost = "" if least is None else f", {least['points_lost']:.1f} points of accuracy lost here"
    yield Claim(
        INFERENCE, f"speed-up of inference end to end{lost}", float(paper.INFERENCE_SPEED_UP),
        None if least is None else float(least["speed_up"]),
    )  # fmt: skip

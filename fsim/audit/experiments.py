"""The paper's experiments, and the scenario here that asks the same question."""

from __future__ import annotations

from dataclasses import dataclass

FOLDER = "scenarios/fed_fstq"


@dataclass(frozen=True)
class Experiment:
    """One experiment of Fed-FSTQ (arXiv 2604.25421).

    Attributes
    ----------
    key
        Also the name of its scenario file.
    title
        What it shows; tables are named by it here, not by their number in the paper.
    simulated
        Whether there is a scenario for it.
    """

    key: str
    title: str
    simulated: bool = True

    @property
    def scenario(self) -> str:
        """The scenario's file."""
        return f"{FOLDER}/{self.key}.yaml"

    @property
    def name(self) -> str:
        """The scenario's name, by which its runs are known."""
        return f"fed-fstq-{self.key}"


ROUND = Experiment("round-breakdown", "A round in profile A")
TIME = Experiment("time-to-accuracy", "Time to accuracy in profile B")
UPLINK = Experiment("uplink-pareto", "Cumulative uplink to a target")
LANGUAGES = Experiment("languages", "Cost for each language")
ALPHA = Experiment("heterogeneity", "Accuracy by Dirichlet alpha")
CLIENTS = Experiment("scalability", "Hours to converge by number of clients")
LOSS = Experiment("packet-loss", "Accuracy by packet loss")
DROPOUT = Experiment("dropout", "Accuracy lost by dropout")
POWER = Experiment("transmit-power", "Energy of a round by transmit power")
ABLATIONS = Experiment("ablations", "Ablations")
BUDGET = Experiment("matched-budget", "Ablations at a matched budget")
RECALL = Experiment("token-recall", "Token Recall")
MEMORY = Experiment("peak-memory", "Peak memory of a client's step")
INFERENCE = Experiment("inference", "Token reduction at inference", simulated=False)

EXPERIMENTS: tuple[Experiment, ...] = (
    ROUND, TIME, UPLINK, LANGUAGES, ALPHA, CLIENTS, LOSS, DROPOUT, POWER, ABLATIONS, BUDGET,
    RECALL, MEMORY, INFERENCE,
)  # fmt: skip

"""Checks across the paper: where figures of different parts meet, and may contradict.

Each function is one such place. The verdict is ours; the arithmetic beside it is exact.
"""

from __future__ import annotations

from decimal import Decimal

from fsim.audit import published as paper
from fsim.audit.arithmetic import (
    fit_powers,
    payload_megabytes,
    round_energy,
    transfer_seconds,
    zero_share,
)
from fsim.audit.checks import Check, Verdict, agree, number
from fsim.audit.experiments import (
    ABLATIONS,
    ALPHA,
    CLIENTS,
    DROPOUT,
    LOSS,
    MEMORY,
    POWER,
    ROUND,
    TIME,
    UPLINK,
)
from fsim.audit.figures import table_powers
from fsim.audit.shapes import LLAMA_2_7B, LLAMA_3_8B

_ROWS = {row.method: row for row in paper.PER_ROUND}
_FEDAVG, _FSTQ, _FEDBAT = (_ROWS[name] for name in (paper.FEDAVG, paper.FSTQ, paper.FEDBAT))
_CONTRADICTORY, _NOT_CHECKABLE = Verdict.CONTRADICTORY, Verdict.NOT_CHECKABLE


def cross_checks() -> list[Check]:
    """All of them."""
    return [
        fstq_transfer(),
        transmit_power(),
        fstq_energy(),
        fstq_energy_over_fedbat(),
        qsgd_bits(),
        fedbat_bits(),
        fedtome_bits(),
        adapter_payload(),
        adapter_payload_of_the_other_model(),
        fewer_rounds(),
        speed_up_in_profile_a(),
        speed_up_at_any_rate(),
        speed_up_of_the_hours(),
        target_at_alpha(),
        payload_without_pruning(),
        two_bits_of_a_laplacian(),
        sixteen_bits(),
        memory_of_the_base(),
        accuracy_without_loss(),
        drop_by_dropout(),
    ]


def _fstq_seconds() -> Decimal:
    return transfer_seconds(_FSTQ.payload, paper.PROFILE_A_MBIT_S)


def fstq_transfer() -> Check:
    """Fed-FSTQ's seconds are those of a smaller payload."""
    fits = _FSTQ.communication * paper.PROFILE_A_MBIT_S / 8
    return Check(
        ROUND.key, paper.FSTQ, "communication", "s",
        _FSTQ.communication, _fstq_seconds(), agree(_FSTQ.communication, _fstq_seconds()),
        f"{_FSTQ.payload} MB over 20 Mbit/s; {_FSTQ.communication} s are {number(fits)} MB. v3's "
        f"total of {paper.V3_TOTAL} s has it right",
    )  # fmt: skip


def transmit_power() -> Check:
    """The per-round table's energies are not those of the default power."""
    fit = fit_powers(paper.BASELINES)
    transmit, _ = table_powers()
    return Check(
        POWER.key, "baselines", "P_tx", "W",
        paper.DEFAULT_TRANSMIT_W, transmit, agree(paper.DEFAULT_TRANSMIT_W, transmit),
        f"least squares over the five baselines' energies, residuals "
        f"{'all zero' if fit.exact else 'not zero'}; the default of the system model is "
        f"{paper.DEFAULT_TRANSMIT_W} W",
    )  # fmt: skip


def fstq_energy() -> Check:
    """98.50 J fit neither power, with neither of the seconds."""
    transmit, compute = table_powers()
    rest = _FSTQ.energy - compute * _FSTQ.compute
    own = round_energy(_FSTQ.communication, _FSTQ.compute, transmit, compute)
    implied = round_energy(_fstq_seconds(), _FSTQ.compute, transmit, compute)
    return Check(
        ROUND.key, paper.FSTQ, "energy", "J", _FSTQ.energy, implied, agree(_FSTQ.energy, implied),
        f"the baselines' powers over {_fstq_seconds()} s; with its own {_FSTQ.communication} s "
        f"{number(own)} J; {_FSTQ.energy} J need P_tx = {number(rest / _FSTQ.communication, 3)} W",
    )  # fmt: skip


def fstq_energy_over_fedbat() -> Check:
    """Fed-FSTQ's energy of a round beside FedBAT's, both being billed alike."""
    transmit, compute = table_powers()
    implied = round_energy(_fstq_seconds(), _FSTQ.compute, transmit, compute) - _FEDBAT.energy
    published = _FSTQ.energy - _FEDBAT.energy
    seconds = _fstq_seconds() + _FSTQ.compute
    return Check(
        ROUND.key, paper.FSTQ, "energy more than FedBAT's", "J", published, implied,
        agree(published, implied),
        f"billed alike, FedBAT has the smallest payload ({_FEDBAT.payload} against "
        f"{_FSTQ.payload} MB), the shortest round ({_FEDBAT.total} against {seconds} s) and the "
        "least energy",
    )  # fmt: skip


def _bits(method: str) -> Decimal:
    """Bits a coordinate, were FedAvg's payload 16."""
    return 16 * _ROWS[method].payload / _FEDAVG.payload


def qsgd_bits() -> Check:
    """QSGD's payload is that of its name."""
    implied = _bits(paper.QSGD)
    return Check(
        ROUND.key, paper.QSGD, "bits a coordinate", "", Decimal(4), implied,
        agree(Decimal(4), implied),
        f"{_ROWS[paper.QSGD].payload} of {_FEDAVG.payload} MB, those being 16 bits; scales are "
        "left out",
    )  # fmt: skip


def fedbat_bits() -> Check:
    """A binarised update is billed as two bits."""
    return Check(
        ROUND.key, paper.FEDBAT, "bits a coordinate", "", Decimal(1), _bits(paper.FEDBAT),
        _NOT_CHECKABLE,
        f"{_FEDBAT.payload} MB; a binarised coordinate is 1 bit, "
        f"{number(_FEDAVG.payload / 16)} MB. What else is billed is not known here",
    )  # fmt: skip


def fedtome_bits() -> Check:
    """Merging tokens makes sequences shorter, not adapters smaller."""
    return Check(
        ROUND.key, paper.FEDTOME, "bits a coordinate", "", Decimal(16), _bits(paper.FEDTOME),
        _NOT_CHECKABLE,
        f"{_ROWS[paper.FEDTOME].payload} MB; merged tokens leave an adapter as many coordinates "
        "as before. What else that baseline does is not known here",
    )  # fmt: skip


def adapter_payload() -> Check:
    """FedAvg-LoRA's payload against the adapter's own size."""
    count = LLAMA_2_7B.lora_parameters(paper.RANK)
    implied = payload_megabytes(count, 16)
    return Check(
        ROUND.key, paper.FEDAVG, "payload", "MB", _FEDAVG.payload, implied,
        agree(_FEDAVG.payload, implied),
        f"rank {paper.RANK} on every linear layer of {LLAMA_2_7B.name}, the most that LoRA usually "
        f"adapts, is {count:,} parameters, 2 bytes each; the published payload is "
        f"{number(_FEDAVG.payload / implied, 1)} times that",
    )  # fmt: skip


def adapter_payload_of_the_other_model() -> Check:
    """The same for the other base model; the paper's table does not say which it is of."""
    count = LLAMA_3_8B.lora_parameters(paper.RANK)
    implied = payload_megabytes(count, 16)
    return Check(
        ROUND.key, paper.FEDAVG, f"payload, were it {LLAMA_3_8B.name}", "MB",
        _FEDAVG.payload, implied, agree(_FEDAVG.payload, implied),
        f"{count:,} parameters, 2 bytes each; {number(_FEDAVG.payload / implied, 1)} times that",
    )  # fmt: skip


def fewer_rounds() -> Check:
    """Ratio of rounds that the uplink ratio implies; the paper gives no such number."""
    payloads = _FEDAVG.payload / _FSTQ.payload
    return Check(
        UPLINK.key, paper.FSTQ, "rounds to 60%, FedAvg's over them", "",
        None, paper.UPLINK_RATIO / payloads, _NOT_CHECKABLE,
        f"{paper.UPLINK_RATIO} times less uplink at {number(payloads)} times less a round",
    )  # fmt: skip


def speed_up_in_profile_a() -> Check:
    """Speed-up in profile A that the uplink ratio implies."""
    rounds = paper.UPLINK_RATIO / (_FEDAVG.payload / _FSTQ.payload)
    a_round = _FEDAVG.total / paper.V3_TOTAL
    return Check(
        TIME.key, paper.FSTQ, "speed-up to the target, in profile A", "",
        paper.SPEED_UP, rounds * a_round, agree(paper.SPEED_UP, rounds * a_round),
        f"{number(rounds)} times fewer rounds, each {number(a_round)} times shorter (v3)",
    )  # fmt: skip


def speed_up_at_any_rate() -> Check:
    """The same at whatever rate: a round is at worst as slow as its computing."""
    rounds = paper.UPLINK_RATIO / (_FEDAVG.payload / _FSTQ.payload)
    least = rounds * _FEDAVG.compute / _FSTQ.compute
    verdict = _CONTRADICTORY if least > paper.SPEED_UP else Verdict.CONSISTENT
    return Check(
        TIME.key, paper.FSTQ, "speed-up to the target, at least", "",
        paper.SPEED_UP, least, verdict,
        f"{number(rounds)} times fewer rounds of {_FSTQ.compute} instead of {_FEDAVG.compute} s of "
        "computing, were sending free; any slower uplink gives more",
    )  # fmt: skip


def speed_up_of_the_hours() -> Check:
    """The convergence table's own ratio beside the headline."""
    hours = [paper.HOURS_BY_CLIENTS[name][-1] for name in (paper.FEDAVG, paper.FSTQ)]
    ratio = hours[0] / hours[1]
    return Check(
        CLIENTS.key, paper.FSTQ, "wall-clock saved, 100 clients", "",
        paper.TIME_SAVED, 1 - 1 / ratio, _NOT_CHECKABLE,
        f"{hours[0]} / {hours[1]} h is {number(ratio)}; that table's network and what counts as "
        "converged are not known here",
    )  # fmt: skip


def target_at_alpha() -> Check:
    """The headline's target at the alpha that it is claimed for."""
    names = (paper.FEDAVG, paper.FSTQ)
    finals = {name: paper.ACCURACY_BY_ALPHA[name][0] for name in names}
    best = max(finals.values())
    verdict = _CONTRADICTORY if best < paper.UPLINK_TARGET else Verdict.CONSISTENT
    words = " and ".join(f"{name} {value}" for name, value in finals.items())
    return Check(
        ALPHA.key, "FedAvg-LoRA and Fed-FSTQ", "accuracy reached at alpha 0.1", "",
        paper.UPLINK_TARGET, best, verdict,
        f"the {paper.UPLINK_RATIO} times less uplink are to 60%; final: {words}",
    )  # fmt: skip


def payload_without_pruning() -> Check:
    """Payload without token pruning, which has nothing to do with the number of bits."""
    published = paper.PAYLOAD_WITHOUT_PRUNING
    return Check(
        ABLATIONS.key, "Fed-FSTQ without token pruning", "payload", "MB",
        published, _FSTQ.payload, agree(published, _FSTQ.payload),
        "bits are given by percentile of the importance: as many coordinates at each precision "
        "whichever tokens were trained on",
    )  # fmt: skip


def two_bits_of_a_laplacian() -> Check:
    """Share of coordinates that 2 bits with one max-abs scale a matrix round to 0."""
    sizes = LLAMA_2_7B.lora_matrices(paper.RANK)
    low, high = (zero_share(size) for size in (sizes[0], sizes[-1]))
    return Check(
        ROUND.key, "the 2-bit tier", "share rounded to 0", "",
        None, Decimal(str(round(low, 5))), _CONTRADICTORY,
        f"q_max(2) = 1: {low:.2%} of a Laplacian matrix of {sizes[0]:,} coordinates, {high:.2%} of "
        f"one of {sizes[-1]:,}; each is billed as 2 bits. Were tiers by magnitude alone, nothing "
        f"would be left in this one once {1 - low:.2%} had gone to higher ones",
    )  # fmt: skip


def sixteen_bits() -> Check:
    """B = 16 is FP16 in one place, and covered by the integer formula in another."""
    return Check(
        ROUND.key, "the 16-bit tier", "q_max(16)", "",
        None, Decimal(2**15 - 1), _CONTRADICTORY,
        "two definitions: FP16 keeps 11 significant bits of each value, the integer formula "
        "2 x 32767 steps of a matrix's largest; as large on the wire",
    )  # fmt: skip


def memory_of_the_base() -> Check:
    """The base model beside the memory of the device that the paper names."""
    in_16_bits = payload_megabytes(LLAMA_2_7B.parameters, 16) / 1000
    in_4_bits = payload_megabytes(LLAMA_2_7B.parameters, 4) / 1000
    return Check(
        MEMORY.key, f"{LLAMA_2_7B.name} on a Jetson Orin Nano", "memory", "GB",
        paper.DEVICE_MEMORY_GB, in_16_bits, _NOT_CHECKABLE,
        f"weights alone in 16 bits, {LLAMA_2_7B.parameters:,} of them; {number(in_4_bits)} GB in 4 "
        "bits; the precision of the base is not known here",
    )  # fmt: skip


def accuracy_without_loss() -> Check:
    """FedAvg's accuracy without packet loss, beside its best by alpha."""
    best = max(paper.ACCURACY_BY_ALPHA[paper.FEDAVG])
    return Check(
        LOSS.key, paper.FEDAVG, "accuracy without loss", "",
        paper.ACCURACY_BY_LOSS[paper.FEDAVG][0], best, _NOT_CHECKABLE,
        "its best in the table by alpha, at alpha 1.0; whether both are of one task is not known "
        "here",
    )  # fmt: skip


def drop_by_dropout() -> Check:
    """FedAvg cannot lose more accuracy than it has."""
    has = paper.ACCURACY_BY_ALPHA[paper.FEDAVG][0]
    return Check(
        DROPOUT.key, paper.FEDAVG, "accuracy lost at 70% dropout", "",
        paper.DROP_BY_DROPOUT[paper.FEDAVG][-1], has, _NOT_CHECKABLE,
        "at most what it has, at the default alpha 0.1; which alpha the table is of, and whether "
        "its drops are relative, is not known here",
    )  # fmt: skip

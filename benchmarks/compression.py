"""How close the coders come to what is possible, how fast, and what fisher-rdo gains on fstq.

    python -m benchmarks.compression
    python -m benchmarks.compression --quick --json compression.json

Three questions, each with its targets; the program ends with status 1 if one is missed.

(a) Is the coded size the entropy? The bound of one payload of fstq is N H(T) + sum_b n_b H(Q | b)
    for its tags T and levels Q, plus its scales and tables as they are; of a coordinate of 16 bits
    the exponent counts with its entropy, sign and mantissa with 11 bits. "strictly" leaves the
    tables out of the bound: then they and the header are part of the loss.
(b) How many bits does each way of coding take at the same Fisher-weighted distortion, the sum of
    F (delta - decoded)^2 over the sum of F delta^2? All of the payload counts. fstq as published
    has its percentiles, scaled up and down together; each other coder has a budget and spends it as
    it can. Bits at a distortion are interpolated (in logarithms) between the sizes measured.
    Updates are synthetic (Laplacian, with a log-normal Fisher) and real: clients of
    scenarios/quickstart.yaml in a first and a later round.
(c) How long does every registered policy take to encode and decode?

Times are CPU times of one process, so that what else the machine does counts little.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Printed

from benchmarks.compression_updates import Sample, real, synthetic
from benchmarks.reporting import command_line, save, spread
from fsim.compression import POLICIES, EncodingContext, Policy, make_policy
from fsim.compression.coding.entropy import SymbolReader, SymbolWriter
from fsim.compression.coding.tables import count, encode_table, table_of
from fsim.compression.coding.wire import breakdown, unpack
from fsim.compression.policies.fstq.payloads import parse_entropy

DISTORTIONS = (0.5, 0.3, 0.2, 0.1, 0.05)
SHARES = {"share2": 0.08, "share4": 0.12, "share16": 0.02}
TAG_SHARES = (0.85, 0.10, 0.04, 0.01)
PUBLISHED = "fstq as published"
CODERS: dict[str, tuple[str, dict[str, Any]]] = {
    PUBLISHED: ("fstq", {}),
    "fstq plain": ("fstq", {"allocation": "budget"}),
    "fstq entropy": ("fstq", {"allocation": "budget", "coding": "entropy"}),
    "fstq entropy, least squares": (
        "fstq",
        {"allocation": "budget", "coding": "entropy", "scales": "least-squares"},
    ),
    "fisher-rdo": ("fisher-rdo", {}),
}
OURS, RIVALS = "fisher-rdo", (PUBLISHED, "fstq plain")

LARGEST_LOSS = 0.005
ENCODED_PER_S, DECODED_PER_S = 50e6, 25e6
LARGEST_RATIO = 0.5


def entropy_bits(symbols: np.ndarray[Any, Any]) -> float:
    """Number of symbols times their empirical entropy."""
    counts = np.unique(symbols, return_counts=True)[1]
    return float(-np.sum(counts * np.log2(counts / counts.sum())))


def coded_size(sample: Sample, shares: Sequence[float]) -> dict[str, Any]:
    """A payload of fstq beside its bound."""
    options = dict(zip(SHARES, shares, strict=True))
    policy = make_policy("fstq", {"coding": "entropy", **options})
    payload = policy.encode(sample.update, EncodingContext(np.random.default_rng(0), sample.fisher))
    quantised = parse_entropy(unpack(payload, "fstq", sample.layout), sample.layout.size)
    bits = entropy_bits(quantised.bits) + sum(map(entropy_bits, quantised.levels.values()))
    bits += entropy_bits(quantised.exact.view("<u2") >> 10 & 31) + 11 * len(quantised.exact)
    parts = breakdown(payload)
    strict = bits / 8 + parts["scales"]
    return {
        "sample": sample.name,
        "coordinates": sample.layout.size,
        "shares": list(shares),
        "bytes": len(payload),
        "bound": strict + parts["tables"],
        "loss": len(payload) / (strict + parts["tables"]) - 1,
        "loss_strictly": len(payload) / strict - 1,
        "parts": parts,
    }


def coder_speed(size: int, repetitions: int) -> dict[str, Any]:
    """Symbols a second of CPU time, through the package's own writer and reader."""
    symbols = np.random.default_rng(0).choice(4, size=size, p=TAG_SHARES).astype(np.int32)
    table = table_of(encode_table(count(symbols, 4)))
    encoded, decoded = [], []
    for _ in range(repetitions + 1):
        writer = SymbolWriter()
        begun = time.process_time()
        writer.write(symbols, table)
        stream = writer.finish()
        middle = time.process_time()
        reader = SymbolReader(stream)
        back = reader.read(table, size)
        reader.finish()
        ended = time.process_time()
        assert np.array_equal(back, symbols)
        encoded.append(size / (middle - begun))
        decoded.append(size / (ended - middle))
    return {
        "symbols": size,
        "encoded_per_s": spread(encoded[1:]),
        "decoded_per_s": spread(decoded[1:]),
        "loss": len(stream) * 8 / entropy_bits(symbols) - 1,
    }


def curve(sample: Sample, coder: str, points: int) -> list[tuple[float, float]]:
    """Distortion and bits a coordinate, payload and all, at several sizes."""
    name, options = CODERS[coder]
    size, found = sample.layout.size, []
    for bits in np.geomspace(0.04, 4.0 if name == OURS else 9.0, points):
        if coder == PUBLISHED:
            times = min(bits / 2, 0.999 / sum(SHARES.values()))
            policy = make_policy(name, {key: share * times for key, share in SHARES.items()})
        else:
            policy = make_policy(name, {**options, "budget": int(bits * size / 8)})
        context = EncodingContext(np.random.default_rng(0), sample.fisher)
        payload = policy.encode(sample.update, context)
        decoded = policy.decode(payload, sample.layout)
        found.append((sample.distortion(decoded), 8 * len(payload) / size))
    return found


def bits_at(points: Sequence[tuple[float, float]], distortion: float) -> float | None:
    """Interpolated in logarithms; None where no budget comes down to it."""
    ordered = sorted(points, reverse=True)
    for (worse, fewer), (better, more) in pairwise(ordered):
        if better <= distortion <= worse:
            along = np.log(worse / distortion) / max(float(np.log(worse / better)), 1e-12)
            return float(np.exp(np.log(fewer) + along * np.log(more / fewer)))
    return None


def compare_coders(samples: Sequence[Sample], points: int, say: Callable[[str], None]) -> list[Any]:
    """Bits of every coder at every distortion, a row a sample."""
    rows = []
    for sample in samples:
        found = {}
        for coder in CODERS:
            say(f"{coder} on {sample.name}")
            measured = curve(sample, coder, points)
            found[coder] = {str(d): bits_at(measured, d) for d in DISTORTIONS}
        rows.append({"sample": sample.name, "bits": found})
    return rows


def policy_times(sample: Sample, repetitions: int) -> list[dict[str, Any]]:
    """Milliseconds of every registered policy; they take turns."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in POLICIES}
    sizes: dict[str, int] = {}
    made: dict[str, Policy] = {name: make_policy(name, {}) for name in POLICIES}
    memories: dict[str, dict[str, Any]] = {name: {} for name in POLICIES}
    for turn in range(repetitions + 1):
        for name, policy in made.items():
            rng = np.random.default_rng(turn)
            context = EncodingContext(rng, sample.fisher, memories[name], seed=turn)
            begun = time.process_time()
            payload = policy.encode(sample.update, context)
            middle = time.process_time()
            policy.decode(payload, sample.layout)
            ended = time.process_time()
            if turn:
                times[name][0].append(1e3 * (middle - begun))
                times[name][1].append(1e3 * (ended - middle))
            sizes[name] = len(payload)
    return [
        {
            "policy": name,
            "bits": 8 * sizes[name] / sample.layout.size,
            "encode_ms": spread(encode),
            "decode_ms": spread(decode),
        }
        for name, (encode, decode) in times.items()
    ]


def ratios(rows: Sequence[Any], distortion: float, theirs: str) -> dict[str, float] | None:
    """Of fisher-rdo's bits to another coder's, over the samples on which both come down to it."""
    pairs = [(row["bits"][OURS][str(distortion)], row["bits"][theirs][str(distortion)])
             for row in rows]  # fmt: skip
    found = [ours / other for ours, other in pairs if ours is not None and other is not None]
    return spread(found) if found else None


def verdicts(report: dict[str, Any]) -> dict[str, bool]:
    """Which targets are met, by what they say."""
    speed = report["speed"][-1]
    found = {}
    for theirs in RIVALS:
        for distortion in DISTORTIONS:
            # On the worst sample; where either never comes down to the distortion, it is missed.
            key = str(distortion)
            values = [(row["bits"][OURS][key], row["bits"][theirs][key])
                      for row in report["real"]]  # fmt: skip
            name = f"{OURS} at most {LARGEST_RATIO} of {theirs} at {distortion:g}, real updates"
            found[name] = all(
                ours is not None and other is not None and ours <= LARGEST_RATIO * other
                for ours, other in values
            )
    return found | {
        f"coded size within {LARGEST_LOSS:.1%} of the bound": all(
            row["loss"] <= LARGEST_LOSS for row in report["sizes"]
        ),
        f"{ENCODED_PER_S / 1e6:.0f} M symbols/s encoded": (
            speed["encoded_per_s"]["median"] >= ENCODED_PER_S
        ),
        f"{DECODED_PER_S / 1e6:.0f} M symbols/s decoded": (
            speed["decoded_per_s"]["median"] >= DECODED_PER_S
        ),
    }


def told(values: dict[str, float] | None, scale: float = 1.0, digits: int = 2) -> str:
    """Median (smallest to largest)."""
    if values is None:
        return "never"
    median, low, high = (f"{values[k] * scale:.{digits}f}" for k in ("median", "min", "max"))
    return f"[b]{median}[/b] ({low} to {high})"


def print_report(console: Console, report: dict[str, Any]) -> None:
    """A table for each question, then the verdicts."""
    sizes = Printed("updates", "coordinates", "shares 2/4/16", "bytes", "bound", "loss", "strictly",
                    title="(a) coded size of fstq against its entropy bound")  # fmt: skip
    for row in report["sizes"]:
        shares = "/".join(f"{share:g}" for share in row["shares"])
        sizes.add_row(row["sample"], str(row["coordinates"]), shares, str(row["bytes"]),
                      f"{row['bound']:.0f}", f"{row['loss']:.3%}", f"{row['loss_strictly']:.3%}",
                      )  # fmt: skip
    console.print(sizes)
    speed = Printed("symbols", "encoded M/s", "decoded M/s", "above entropy", title="(a) speed")
    for row in report["speed"]:
        speed.add_row(str(row["symbols"]), told(row["encoded_per_s"], 1e-6, 0),
                      told(row["decoded_per_s"], 1e-6, 0), f"{row['loss']:.4%}")  # fmt: skip
    console.print(speed)
    for kind in ("synthetic", "real"):
        table = Printed("coder", *(f"D {d:g}" for d in DISTORTIONS),
                        title=f"(b) bits a coordinate at equal distortion, {kind}")  # fmt: skip
        for coder in CODERS:
            cells = [[row["bits"][coder][str(d)] for row in report[kind]] for d in DISTORTIONS]
            table.add_row(coder, *("never" if None in each else told(spread(each), digits=3)
                                   for each in cells))  # fmt: skip
        for theirs in CODERS:
            if theirs != OURS:
                table.add_row(f"{OURS} / {theirs}",
                              *(told(ratios(report[kind], d, theirs)) for d in DISTORTIONS),
                              )  # fmt: skip
        console.print(table)
    times = Printed("policy", "bits", "encode ms", "decode ms",
                    title="(c) policies at their defaults, 81,920 coordinates")  # fmt: skip
    for row in report["times"]:
        times.add_row(row["policy"], f"{row['bits']:.3f}", told(row["encode_ms"], digits=1),
                      told(row["decode_ms"], digits=1))  # fmt: skip
    console.print(times)
    for target, met in report["verdicts"].items():
        console.print(f"{'met' if met else '[red]MISSED[/red]'}: {target}")


def run(*, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything."""
    repetitions = 3 if quick else 11
    measured = real(say)
    chosen = measured[::2] if quick else measured
    drawn = [synthetic(81_920, seed) for seed in range(1 if quick else 2)]
    shares = (TAG_SHARES[1:], tuple(SHARES.values()))
    say("coded size")
    sizes = [coded_size(synthetic(n, 0), each) for n in (65_536, 2**20) for each in shares]
    sizes += [coded_size(sample, each) for sample in chosen for each in shares]
    report: dict[str, Any] = {
        "quick": quick,
        "sizes": sizes,
        "speed": [coder_speed(size, repetitions) for size in (2**16, 2 * 10**6)],
        "synthetic": compare_coders(drawn, 7 if quick else 16, say),
        "real": compare_coders(chosen, 7 if quick else 16, say),
    }
    say("every policy")
    report["times"] = policy_times(measured[0], repetitions)
    report["verdicts"] = verdicts(report)
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 1 if a target is missed."""
    parser = command_line(
        "benchmarks.compression", str(__doc__), "fewer updates, budgets and turns"
    )
    chosen = parser.parse_args(arguments)
    with Console(stderr=True).status("") as status:
        report = run(quick=chosen.quick, say=status.update)
    print_report(Console(), report)
    save(report, chosen.json)
    return 0 if all(report["verdicts"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())

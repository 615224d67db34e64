"""``python -m tests.exploration``: a long hunt, or one of its scenarios again."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

from tests.exploration.cases import Case
from tests.exploration.hunt import Found, Summary, case_of, explore, hunt, smallest

AT_A_TIME = 20
"""Scenarios that a process takes on at once."""

TOLD = 5
"""Failures of an invariant that are told at length."""


def main(arguments: list[str] | None = None) -> int:
    """The command; 1 if anything was found."""
    options = _parser().parse_args(arguments)
    if options.case is not None:
        return _show(Case.from_yaml(options.case.read_text(encoding="utf-8")))
    if options.replay is not None:
        case = case_of(options.replay)
        if options.shrink:
            for name in explore(case).broken:
                print(f"# the smallest that breaks {name}")
                _show(smallest(options.replay, partial(_breaks, name)))
            return 1
        return _show(case)
    return _hunt(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.exploration", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="scenarios to run")
    parser.add_argument("--seed", type=int, default=0, help="which scenarios these are")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--skip", action="append", default=[], help="an invariant not to tell of")
    parser.add_argument("--replay", type=int, help="the seed of one scenario to run and print")
    parser.add_argument("--shrink", action="store_true", help="with --replay: make it small")
    parser.add_argument("--case", type=Path, help="a file that --replay printed, to run again")
    return parser


def _show(case: Case) -> int:
    print(case.to_yaml())
    found: Found = explore(case)
    print(f"# {found.outcome} {found.why}")
    if found.book is not None and found.book.failure:
        print(f"# {found.book.failure}")
    for name, text in found.broken.items():
        print(f"# BROKEN {name}: {text}")
    return int(bool(found.broken))


def _breaks(invariant: str, case: Case) -> bool:
    return invariant in explore(case).broken


def _hunt(options: argparse.Namespace) -> int:
    began, first = time.monotonic(), options.seed * 1_000_000
    seeds = range(first, first + options.count)
    chunks = [seeds[at : at + AT_A_TIME] for at in range(0, len(seeds), AT_A_TIME)]
    work = partial(hunt, skipped=tuple(options.skip))
    whole, told = Summary(), Counter[str]()
    with multiprocessing.Pool(options.workers) as pool:
        for part in pool.imap(work, chunks):
            whole.merge(part)
            for name, failures in part.failures.items():
                for seed, text in failures:
                    told[name] += 1
                    if told[name] <= TOLD:
                        print(f"{name}: --replay {seed}: {text}", flush=True)
    print(whole.to_text())
    print(f"{time.monotonic() - began:.0f} s")
    return int(bool(whole.failures) or any(whole.tally.unfair()))


if __name__ == "__main__":
    sys.exit(main())

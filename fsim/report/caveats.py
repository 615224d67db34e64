"""Caveats that a reader of results has to know before believing them."""

from __future__ import annotations

from fsim.figures.content import billing_note
from fsim.results.loading import Results


def warnings_of(results: Results) -> list[str]:
    """One sentence each, without a full stop; empty if there is nothing to say."""
    summary = results.series
    caveats = [
        f"{row['run']}: did not come to its end: {row['failure']}"
        for row in summary.to_dict("records")
        if row["status"] != "completed"
    ]
    note = billing_note(summary)
    if note:
        caveats.append(f"{note}: a small model's round is billed as a larger one's")
    unreached = summary[summary["time_to_target_s"].isna()]
    if len(unreached):
        caveats.append(f"{len(unreached)} of {len(summary)} runs never reached the target")
    counts = summary.groupby("series")["run"].count()
    if counts.min() == 1:
        caveats.append("series of one seed: nothing here tells how far chance moves their figures")
    for column, words in (("target", "targets"), ("task", "tasks"), ("metric", "metrics")):
        if summary[column].nunique() > 1:
            caveats.append(f"the runs have different {words}")
    caveats += _facts(results)
    versions = {tuple(sorted(run.summary.get("versions", {}).items())) for run in results.runs}
    if len(versions) > 1:
        caveats.append("the runs were made with different versions of packages, told below")
    return caveats


def _facts(results: Results) -> list[str]:
    """Of the data, from the facts: what is alike in all runs is told once."""
    caveats: list[str] = []
    for run in results.runs:
        facts = run.summary.get("facts", {})
        if facts.get("prompts_shortened"):
            caveats.append(f"{facts['prompts_shortened']} prompts were shortened to the limit")
        unseen = facts.get("labels_in_no_shard") or []
        if unseen:
            caveats.append(f"no client holds examples of: {', '.join(map(str, unseen))}")
        for why, count in (facts.get("items_skipped") or {}).items():
            caveats.append(f"{count} items of the data were left out: {why}")
    return list(dict.fromkeys(caveats))

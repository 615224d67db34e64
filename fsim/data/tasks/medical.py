"""Medical terminology question answering from the Human Phenotype Ontology.

The definition of a phenotype in, the organ system that it belongs to out: "Multicystic dysplasia of
the kidney is characterized by ..." asks for "genitourinary system". Only phenotypes of exactly one
organ system are asked about, so that there is one right answer.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal

from fsim.data.held_out import is_held_out
from fsim.data.tasks import hpo
from fsim.data.tasks.base import Example, FileFinder, Task, TaskData


@dataclass(frozen=True)
class Medical(Task):
    """Definition of a phenotype in, organ system out (Human Phenotype Ontology).

    Attributes
    ----------
    answer
        ``"organ-system"``, or ``"term"`` for the phenotype's own name, a generation task.
    """

    name: ClassVar[str] = "medical"
    metrics: ClassVar[tuple[str, ...]] = ("exact_match", "rouge_l", "multiple_choice")

    answer: Literal["organ-system", "term"] = "organ-system"

    def load(self, find: FileFinder) -> TaskData:
        """The examples, terms in the order of the ontology, a tenth held out by identifier."""
        terms = hpo.ontology()
        parts: dict[bool, list[Example]] = {False: [], True: []}
        skipped = Counter[str]()
        names = {
            organ_system_name(term.name): None
            for term in terms.values()
            if hpo.PHENOTYPIC_ABNORMALITY in term.parents
        }
        choices = tuple(f" {name}" for name in names)
        for term in terms.values():
            reason = _unusable(term)
            if reason is not None:
                skipped[reason] += 1
                continue
            label = organ_system_name(terms[term.organ_systems[0]].name)
            if self.answer == "term":
                example = Example(term.definition, "\nName:", f" {term.name}", label)
            else:
                example = Example(term.definition, "\nOrgan system:", f" {label}", label, choices)
            parts[is_held_out(term.id)].append(example)
        return TaskData(tuple(parts[False]), tuple(parts[True]), tuple(sorted(skipped.items())))


def _unusable(term: hpo.Term) -> str | None:
    if not term.definition:
        return "no definition"
    if len(term.organ_systems) != 1:
        return "not of exactly one organ system"
    if term.id == term.organ_systems[0]:
        return "an organ system itself"
    return None


def organ_system_name(name: str) -> str:
    """``Abnormality of the nervous system`` -> ``nervous system``."""
    for prefix in ("Abnormality of the ", "Abnormality of ", "Abnormal "):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name.lower()

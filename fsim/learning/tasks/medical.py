"""Medical terminology question answering from the Human Phenotype Ontology.

The definition of a phenotype in, the organ system that it belongs to out: "Multicystic dysplasia of
the kidney is characterized by ..." asks for "genitourinary system". Only phenotypes of exactly one
organ system are asked about, so that there is one right answer.
"""

from __future__ import annotations

from fsim.learning.split import is_held_out
from fsim.learning.tasks import hpo
from fsim.learning.tasks.base import Example, TaskData

QUESTION = "\nOrgan system:"


def load() -> TaskData:
    """The examples, terms in the order of the ontology, a tenth held out by identifier."""
    terms = hpo.ontology()
    parts: dict[bool, list[Example]] = {False: [], True: []}
    for term in terms.values():
        if len(term.organ_systems) != 1 or not term.definition:
            continue
        if term.id == term.organ_systems[0]:
            continue  # the organ system itself: its definition names the answer
        label = organ_system_name(terms[term.organ_systems[0]].name)
        example = Example(term.definition, QUESTION, " " + label, label)
        parts[is_held_out(term.id)].append(example)
    return TaskData(tuple(parts[False]), tuple(parts[True]))


def organ_system_name(name: str) -> str:
    """``Abnormality of the nervous system`` -> ``nervous system``."""
    for prefix in ("Abnormality of the ", "Abnormality of ", "Abnormal "):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name.lower()

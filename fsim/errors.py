"""The errors that a user can cause or meet, each told in one line."""

from __future__ import annotations


class FsimError(Exception):
    """Anything that ends a command with one line instead of a traceback.

    Attributes
    ----------
    exit_code
        What the command line exits with: 2 for bad input, 1 for a run that could not go on.
    """

    exit_code = 2


class ScenarioError(FsimError):
    """A scenario, or a setting given on the command line, that cannot be run as written."""


class TraceError(FsimError):
    """A capacity trace that cannot be read, or that says nothing at the time asked for."""


class TransferNeverEnds(FsimError):
    """A transfer that would wait for ever: the capacity stays at zero from some time on.

    Attributes
    ----------
    ended
        Seconds, when the last byte was sent; None where that is not known.
    sent_bytes
        Payload bytes sent by then, all in vain.
    """

    exit_code = 1

    def __init__(self, message: str, ended: float | None = None, sent_bytes: int = 0) -> None:
        super().__init__(message)
        self.ended, self.sent_bytes = ended, sent_bytes


class PayloadError(FsimError):
    """Bytes that are not a payload of the expected policy for the expected adapter."""

    exit_code = 1


class EncodingFailed(FsimError):
    """An update, or a global adapter, that the compression policy cannot express."""

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

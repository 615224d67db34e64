"""All commands under one name."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from fsim.cli import lists
from fsim.cli.audit import audit
from fsim.cli.data import partition, reference
from fsim.cli.fleet import fleet
from fsim.cli.inference import NAME, infer_bench
from fsim.cli.network import network
from fsim.cli.report import report, timeline
from fsim.cli.runs import compare, plot, run
from fsim.cli.store import store_app
from fsim.cli.sweep import sweep
from fsim.cli.trace import trace_app
from fsim.cli.trace_generate import generate
from fsim.core.errors import FsimError, one_line

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

# Typer stands on click or carries it within itself, as its version has it.
_USAGE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")

DEBUG = "FSIM_DEBUG"
"""Environment variable that is not empty where whole tracebacks are wanted."""


class _Group(TyperGroup):
    """The commands, after any of which ``--debug`` may stand as well as before it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read what stands before the command, ``--debug`` being taken for such."""
        end = args.index("--") if "--" in args else len(args)
        if "--debug" in args[:end]:
            args.remove("--debug")
            args.insert(0, "--debug")
        rest: list[str] = super().parse_args(ctx, args)
        return rest


app = typer.Typer(
    cls=_Group,
    help="Federated LLM fine-tuning in simulated seconds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (run, compare, sweep, plot, report, timeline, partition, reference, fleet, network):
    app.command()(command)
app.command()(audit)
app.command(NAME)(infer_bench)
for listing in lists.LISTINGS:
    app.command(listing.command)(lists.command(listing))
app.command()(lists.models)


@app.callback()
def options(
    debug: Annotated[
        bool,
        typer.Option("--debug", help=f"Show the whole traceback of an error; so does {DEBUG}=1."),
    ] = False,
) -> None:
    """Set what holds for all commands."""
    if debug:
        os.environ[DEBUG] = "1"


trace_app.command("generate")(generate)
app.add_typer(trace_app, name="trace")
app.add_typer(store_app, name="store")


def main() -> None:
    """Run the command line and exit.

    An error that a user can meet is one line and an exit code; a reader of the output that closes
    it (``| head``) ends it without a word, with 1. All else is a fault of fsim, with its traceback.
    """
    sys.exit(_exit_code())


def _exit_code() -> int:
    """Do what the arguments say, to the last byte of what is printed."""
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except FsimError as error:
        return _fail(str(error), error.exit_code, error)
    except _USAGE as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # help, and no mistake
            error.show()
            return 2
        return _fail(one_line(error.format_message()), 2, error)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _fail("interrupted, nothing was written", 130, error)
    except OSError as error:
        return _unwritten(error)
    return code if isinstance(code, int) else 0


def _unwritten(error: OSError) -> int:
    """Exit code where a disk or a reader refused the output; other errors are raised again."""
    if error.filename is not None:
        return _fail(one_line(f"{error.filename}: {error.strerror}"), 2, error)
    if error.errno not in (*_FULL, errno.EPIPE):
        raise error
    # What is left to be printed would be refused once more as the interpreter ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return 1
    return _fail(f"the output: cannot be written: {error.strerror}", 2, error)


def _fail(message: str, code: int, error: BaseException) -> int:
    """Print an error's line, below its traceback if that is wanted."""
    if os.environ.get(DEBUG, "") not in ("", "0"):
        _show_all(error)
        traceback.print_exception(error)
    print(f"fsim: {message}", file=sys.stderr)
    return code


def _show_all(error: BaseException | None) -> None:
    """Let a traceback show also what was raised before, where a line alone was to be read."""
    while error is not None:
        error.__suppress_context__ = error.__cause__ is not None
        error = error.__cause__ or error.__context__

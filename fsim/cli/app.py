"""All commands under one name."""

from __future__ import annotations

import sys

import typer

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
from fsim.errors import FsimError

app = typer.Typer(
    help="Federated LLM fine-tuning in simulated seconds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (run, compare, sweep, plot, report, timeline, partition, reference, fleet, network):
    app.command()(command)
app.command()(audit)
app.command(NAME)(infer_bench)
for listing in (lists.policies, lists.tasks, lists.models, lists.protocols, lists.devices):
    app.command()(listing)
trace_app.command("generate")(generate)
app.add_typer(trace_app, name="trace")
app.add_typer(store_app, name="store")


def main() -> None:
    """Run the command line; an error that a user can meet is one line and an exit code."""
    try:
        app(standalone_mode=True)
    except FsimError as error:
        print(f"fsim: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("fsim: interrupted, nothing was written", file=sys.stderr)
        sys.exit(130)

"""The command line: arguments to calls, results to tables. A group of commands a module."""

from fsim.cli.app import app, main

__all__ = ["app", "main"]

"""``python -m fsim``: the command line."""

from fsim.cli import main

main()

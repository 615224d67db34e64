"""Experiments: one run with its output, and comparisons of policies."""

"""Algorithms with two sides: what the server keeps, and what clients add to their training."""

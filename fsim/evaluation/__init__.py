"""Evaluation: an adapter's answers to held-out examples."""

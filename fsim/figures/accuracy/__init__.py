"""Accuracy over simulated time."""

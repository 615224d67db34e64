"""Accuracy of each label over time."""

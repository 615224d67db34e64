"""Transports: what a payload costs beside its size over the capacity."""

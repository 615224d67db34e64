"""Figures of merit over the number of clients."""

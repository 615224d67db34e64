"""Figures of merit over what a sweep varied."""

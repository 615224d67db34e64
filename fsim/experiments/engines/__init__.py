"""Engines: where the runs of a comparison or a sweep are done."""

"""Coding: the wire format, entropy coders, and how levels, signs and positions are packed."""

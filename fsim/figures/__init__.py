"""Figures of runs, said once and drawn with matplotlib and with plotly; pictures of other things.

What is made of the tables of runs is a module of :mod:`fsim.figures.contents`, and has both faces.
What is made of anything else (a trace, a fleet, a partition, a measurement of prompts) is a single
module here that draws with matplotlib, its only face.
"""

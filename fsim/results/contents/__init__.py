"""What figures and charts show: put together from the tables of runs, drawn by others.

A module a figure. :mod:`fsim.results.figures` draws it with matplotlib, :mod:`fsim.results.charts`
with plotly. What is shown of more data than there is room for is decided here, once.
"""

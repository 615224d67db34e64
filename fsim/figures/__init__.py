"""Figures: what each shows, drawn with matplotlib and with plotly."""

"""The contents of the figures, a module each; none knows a library that draws."""

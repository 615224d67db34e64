"""Links: capacity over time, and the time that a transfer over it takes."""

"""Energy of each round, and what it takes from the batteries."""

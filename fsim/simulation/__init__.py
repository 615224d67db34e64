"""The simulation: a client's round on the clock, the world that a protocol sees, a run."""

"""Time to the target against uplink bytes."""

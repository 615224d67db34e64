"""Programs that measure how fast the project is."""

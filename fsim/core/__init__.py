"""What every room may use: types, random streams, registries, units, checks, files, errors."""

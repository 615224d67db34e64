"""Foundation of every room: types, random streams, registries, units, checks, files, errors."""

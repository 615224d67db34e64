"""What payloads consist of."""

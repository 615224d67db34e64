"""How long clients' rounds took, and who was last."""

"""Shortening the token stream at inference: which prompt tokens the later layers need."""

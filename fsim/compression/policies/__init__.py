"""The compression policies, a module each."""

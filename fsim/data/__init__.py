"""Data: tasks, their division among clients, and examples as token ids."""

"""Pages and time lines of finished runs."""

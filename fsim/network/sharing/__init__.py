"""Shared links: max-min fair shares, and when each of many transfers is through."""

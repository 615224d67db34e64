"""The server: client selection, round protocols, aggregation.

Nothing here knows how bytes travel or how clients train.
"""

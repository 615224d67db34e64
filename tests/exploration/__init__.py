"""A hunt for faults: random scenarios over all that the simulator offers, and what must hold.

``cases`` draws them, ``running`` runs one and keeps a book of what happened, ``invariants`` says
what must hold of every book, ``frequencies`` of the sum of many. ``python -m tests.exploration``
runs as many as one likes; the tests beside it run some hundreds and show that each check can fail.
"""

"""Held-out split: each item's own name decides whether it is held out.

The base model's pre-training text, the clients' training data and the evaluation data are cut by
this one rule, so that nothing an evaluation asks about was ever shown in training, on any machine
and in any order of reading.
"""

from __future__ import annotations

import hashlib

HELD_OUT_SHARE = 0.1


def is_held_out(key: str) -> bool:
    """True for about a tenth of all keys, the same ones for ever.

    Parameters
    ----------
    key
        A stable name of the item: an ontology identifier, a module name, an ISO date.
    """
    digest = hashlib.sha256(key.encode("utf-8")).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT_SHARE * 2**64

"""The compression policies in real pipelines: no event loop, no scenario.

:mod:`fsim.adapters.flower` needs ``pip install 'fsim[flower]'`` and is not imported here.
"""

from fsim.adapters.fisher import FisherMeter
from fsim.adapters.state_dict import apply_update, as_policy, decode_update, encode_update

__all__ = ["FisherMeter", "apply_update", "as_policy", "decode_update", "encode_update"]

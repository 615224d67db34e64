"""Transfers of a whole population at once: links as columns, finish times in closed form.

Single transfers of a run on the clock do not go this way; the numbers are the same.
"""

from fsim.network.vectorised.bank import CapacityBank, FinishTimes
from fsim.network.vectorised.transfers import finish_times

__all__ = ["CapacityBank", "FinishTimes", "finish_times"]

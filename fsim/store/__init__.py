"""The store: results of learning under the hash of everything that produced them."""

from fsim.store.store import Fault, State, Store, as_store, key_of, place

__all__ = ["Fault", "State", "Store", "as_store", "key_of", "place"]

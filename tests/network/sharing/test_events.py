"""Heaps of what is due."""

import hypothesis.strategies as st
from hypothesis import given

from fsim.network.sharing.events import LazyHeap

KEYS = st.integers(0, 9)


@given(st.lists(st.one_of(st.tuples(st.just("push"), KEYS), st.sampled_from(["drop", "later"]))))
def test_a_heap_gives_what_a_sorted_list_gives(orders):
    """Pushes, withdrawals of the middle entry, postponements of the first, in any order."""
    heap, kept, serial = LazyHeap(), [], 0
    for order in orders:
        if isinstance(order, tuple):
            serial += 1
            kept.append((order[1], serial, heap.push(order[1], serial)))
        elif kept and order == "drop":
            _, _, entry = kept.pop(len(kept) // 2)
            heap.withdraw(entry)
        elif kept:
            serial += 1
            key, _, entry = kept.pop(0)
            heap.postpone(heap.top(), key + 3)
            kept.append((key + 3, serial, entry))
        kept.sort(key=lambda one: one[:2])
        assert len(heap) == len(kept)
        top = heap.top()
        assert top is (kept[0][2] if kept else None)
        assert sorted(heap) == sorted(entry[2] for _, _, entry in kept)

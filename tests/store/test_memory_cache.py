"""What is kept, and what goes."""

from fsim.store.memory_cache import MemoryCache


def test_the_least_recently_used_goes_first():
    recent = MemoryCache(limit=100)
    for key in "ab":
        recent.put(key, key.upper(), 40)
    assert recent.get("a") == "A"
    recent.put("c", "C", 40)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == ("A", None, "C")


def test_what_is_larger_than_all_the_room_is_not_kept():
    recent = MemoryCache(limit=100)
    recent.put("a", "A", 60)
    recent.put("b", "B", 101)
    assert (recent.get("a"), recent.get("b")) == ("A", None)

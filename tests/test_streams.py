from fsim.streams import stream, torch_seed


def test_streams_are_the_same_for_the_same_name_and_differ_otherwise():
    first = stream(0, "batches", 3, 5).integers(2**60)
    assert stream(0, "batches", 3, 5).integers(2**60) == first
    others = [
        stream(1, "batches", 3, 5), stream(0, "dropout", 3, 5), stream(0, "batches", 5, 3),
        stream(0, "batches", 3), stream(0, "batches", 3, 5, 0),
    ]  # fmt: skip
    assert first not in [other.integers(2**60) for other in others]


def test_a_stream_is_the_same_on_every_machine():
    # Worked out once; PCG64 and SeedSequence are stable across versions and platforms.
    assert stream(0, "batches", 1, 2).integers(10**6, size=3).tolist() == [900964, 240816, 911012]
    assert 0 <= torch_seed(0, "adapter") < 2**63

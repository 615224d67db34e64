"""What policies are given to encode with."""

from fsim.compression import EncodingContext


def test_a_context_tells_its_round_and_what_it_is_given():
    memory = {}
    context = EncodingContext.of(7, 3, 5, memory=memory, budget=99)
    assert (context.round_number, context.budget, context.fisher) == (5, 99, None)
    assert context.memory is memory


def test_draws_are_of_one_asking_alone():
    askings = [(7, 3, 5, 0), (8, 3, 5, 0), (7, 4, 5, 0), (7, 3, 6, 0), (7, 3, 5, 1), (7, 3, 5, 2)]
    contexts = [EncodingContext.of(*asking) for asking in askings]
    again = [EncodingContext.of(*asking) for asking in askings]
    seeds = [context.seed for context in contexts]
    assert all(isinstance(seed, int) and 0 <= seed < 2**64 for seed in seeds)
    draws = [context.rng.random() for context in contexts]
    assert len(set(seeds)) == len(set(draws)) == len(askings)
    assert seeds == [context.seed for context in again]
    assert draws == [context.rng.random() for context in again]

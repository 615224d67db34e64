"""Sharing worked out the slow way, to test against: every flow is filled anew at every event.

Nothing of the package is used but the pieces of the capacities.
"""

import math


def rate_of(capacity, time):
    """Rate and end of the piece at a time, by walking along all pieces."""
    if capacity is None:
        return math.inf, math.inf
    starts, rates = capacity.starts.tolist(), capacity.rates.tolist()
    ends = [*starts[1:], capacity.duration]
    within, begin = time + capacity.offset, 0.0
    if within >= capacity.duration:
        if capacity.past_end == "hold":
            return rates[-1], math.inf
        cycle = math.floor(within / capacity.duration)
        begin = cycle * capacity.duration
        within -= begin
    for start, end, rate in zip(starts, ends, rates, strict=True):
        if start <= within < end:
            return rate, begin + end - capacity.offset
    return rates[0], begin + ends[0] - capacity.offset  # rounding: just at the end


def fill(caps, weights, paths, capacities):
    """Rates, all glasses filled together until each is full or a link of it is used up."""
    flowing = [cap > 0 and all(capacities[link] > 0 for link in path)
               for cap, path in zip(caps, paths, strict=True)]  # fmt: skip
    rates = [0.0] * len(caps)
    left = list(capacities)
    while any(flowing):
        rise, full, dry = math.inf, [], []
        for number, on in enumerate(flowing):
            if on:
                rise = min(rise, (caps[number] - rates[number]) / weights[number])
        thirst = [0.0] * len(left)
        for number, on in enumerate(flowing):
            if on:
                for link in paths[number]:
                    thirst[link] += weights[number]
        for link, weight in enumerate(thirst):
            if weight:
                rise = min(rise, left[link] / weight)
        for number, on in enumerate(flowing):
            if on:
                rates[number] += rise * weights[number]
                if rates[number] >= caps[number] * (1 - 1e-13):
                    full.append(number)
        for link, weight in enumerate(thirst):
            left[link] -= rise * weight
            if weight and left[link] <= capacities[link] * 1e-13:
                dry.append(link)
        for number, on in enumerate(flowing):
            if on and (number in full or any(link in dry for link in paths[number])):
                flowing[number] = False
    return rates


def finish_times(flows, links, horizon=math.inf):
    """Event by event; flows that have not finished at the horizon are told as inf."""
    finish = [math.inf] * len(flows)
    left = {}
    waiting = sorted(range(len(flows)), key=lambda number: flows[number].start)
    time = 0.0
    while left or waiting:
        if not left:
            time = flows[waiting[0]].start
        while waiting and flows[waiting[0]].start <= time:
            left[waiting[0]] = flows[waiting[0]].size
            waiting.pop(0)
        for number in [number for number in left if left[number] <= 1e-12 * flows[number].size]:
            finish[number] = time
            del left[number]
        if not left:
            continue
        here = list(left)
        caps = [rate_of(flows[number].cap, time) for number in here]
        shared = [rate_of(link, time) for link in links]
        rates = fill(
            [rate for rate, _ in caps],
            [flows[number].weight for number in here],
            [flows[number].path for number in here],
            [rate for rate, _ in shared],
        )
        ends = [end for _, end in caps + shared]
        ends += [time + left[n] / rate for n, rate in zip(here, rates, strict=True) if rate > 0]
        if waiting:
            ends.append(flows[waiting[0]].start)
        after = max(min(ends), math.nextafter(time, math.inf))
        if after > horizon or math.isinf(after):
            return finish
        for number, rate in zip(here, rates, strict=True):
            left[number] -= rate * (after - time)
        time = after
    return finish

"""Measuring several things in turns, so that whatever drifts hits all of them alike."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from bench.samples import Series

Name = TypeVar("Name", bound=str)
Batch = Callable[[], Sequence[float]]


def interleaved(
    contenders: Mapping[Name, Batch],
    *,
    rounds: int,
    warm_up: int = 1,
    least: int = 2,
    limit_s: float = float("inf"),
) -> dict[Name, Series]:
    """Run each contender once per round, in an order that turns by one each round, and return what they measured.

    Args:
        contenders: each measures a few samples when it is called.
        rounds: that count.
        warm_up: rounds before them that do not.
        least: rounds that are measured however long they take.
        limit_s: no other round begins after this long.
    """
    names = list(contenders)
    samples: dict[Name, list[Sequence[float]]] = {name: [] for name in names}
    begin = time.monotonic()
    for number in range(-warm_up, rounds):
        if number >= least and time.monotonic() - begin > limit_s:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()  # not in the middle of a sample
            measured = contenders[name]()
            if number >= 0:
                samples[name].append(measured)
    return {name: Series(rounds_of) for name, rounds_of in samples.items()}

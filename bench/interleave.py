"""Measuring several things in turns, so that whatever drifts hits all of them alike."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from bench.samples import Series

Name = TypeVar("Name", bound=str)
Batch = Callable[[], Sequence[float]]
Progress = Callable[[float], None]


def interleaved(
    contenders: Mapping[Name, Batch],
    *,
    rounds: int,
    warm_up: int = 1,
    limit_s: float = float("inf"),
    progress: Progress = lambda _: None,
) -> dict[Name, Series]:
    """Run each contender once per round, in an order that turns by one each round, and return what they measured.

    Args:
        contenders: each measures a few samples when it is called.
        rounds: that count.
        warm_up: rounds before them that do not.
        limit_s: no new round begins after so long, once two have counted.
        progress: told the finished share after each round.
    """
    names = list(contenders)
    samples: dict[Name, list[Sequence[float]]] = {name: [] for name in names}
    begin = time.monotonic()
    for number in range(-warm_up, rounds):
        if number >= 2 and time.monotonic() - begin > limit_s:  # noqa: PLR2004 - an interval needs two rounds
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            gc.collect()  # not in the middle of a sample
            measured = contenders[name]()
            if number >= 0:
                samples[name].append(measured)
        progress((number + 1 + warm_up) / (rounds + warm_up))
    return {name: Series(rounds_of) for name, rounds_of in samples.items()}
